package membership

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// pool is what a Picker chooses from. Only its counters change.
type pool struct {
	members []Member
	weights []int64
	upTo    []int64         // sums of the weights
	strides []uint64        // weights in parts of fullStride
	loads   []*atomic.Int64 // calls under way; kept as long as the member stays
	turn    atomic.Uint64   // of next
}

// fullStride is the stride of the heaviest member.
const fullStride = 1<<16 - 1

// with returns a pool of these members, which goes on counting for those that stay. p may be nil.
func (p *pool) with(members []Member) *pool {
	kept := map[string]*atomic.Int64{}
	if p != nil {
		for i := range p.members {
			kept[p.members[i].ID] = p.loads[i]
		}
	}
	n := len(members)
	next := &pool{
		members: slices.Clone(members), weights: make([]int64, n), upTo: make([]int64, n),
		strides: make([]uint64, n), loads: make([]*atomic.Int64, n),
	}
	next.turn.Store(rand.Uint64N(1 << 32)) // not all clients begin with the same member
	var sum, heaviest int64
	for i := range members {
		w := int64(min(max(members[i].Weight, 1), MaxWeight))
		sum += w
		heaviest = max(heaviest, w)
		next.weights[i], next.upTo[i] = w, sum
		if next.loads[i] = kept[members[i].ID]; next.loads[i] == nil {
			next.loads[i] = new(atomic.Int64)
		}
	}
	for i, w := range next.weights {
		next.strides[i] = uint64(max(1, w*fullStride/heaviest))
	}
	return next
}

// next goes round. In each round every member moves by its stride and is taken when it passes a full
// one, the heaviest each time: weighted round robin with one atomic counter (the static stride
// scheduler, gRPC proposal A58).
func (p *pool) next() int {
	n := uint64(len(p.members))
	for {
		turn := p.turn.Add(1)
		i, round := turn%n, turn/n
		stride := p.strides[i]
		if (stride*round+i*(fullStride/2))%fullStride >= fullStride-stride {
			return int(i)
		}
	}
}

// least returns the member with the fewest calls under way for its weight. Among equals the one drawn by
// weight wins, and else the first from another random one on, so that nobody has a favourite neighbour.
func (p *pool) least(except []string) int {
	n := len(p.members)
	best := p.random()
	free := !slices.Contains(except, p.members[best].ID)
	if free && p.loads[best].Load() == 0 {
		return best
	}
	start := rand.IntN(n)
	for k := range n {
		i := (start + k) % n
		if slices.Contains(except, p.members[i].ID) {
			continue
		}
		if !free || p.less(i, best) {
			best, free = i, true
		}
	}
	if !free {
		return p.least(nil)
	}
	return best
}

// better returns the better of two random members, the first of equals.
func (p *pool) better() int {
	i, j := p.random(), p.random()
	if i == j && len(p.members) > 1 {
		j = (i + 1 + rand.IntN(len(p.members)-1)) % len(p.members)
	}
	if p.less(j, i) {
		return j
	}
	return i
}

// random returns a member, each as often as its weight says.
func (p *pool) random() int {
	at := rand.Int64N(p.upTo[len(p.upTo)-1])
	i, _ := slices.BinarySearch(p.upTo, at+1)
	return i
}

// less reports whether i has fewer calls under way than j, for their weights.
func (p *pool) less(i, j int) bool {
	return p.loads[i].Load()*p.weights[j] < p.loads[j].Load()*p.weights[i]
}
