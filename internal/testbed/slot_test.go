package testbed

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestSlot(t *testing.T) {
	for key, want := range map[string]int{
		"123456789":            12739, // the check value of the specification, 0x31C3
		"":                     0,
		"{user1000}.following": Slot("user1000"),
		"a{b}{c}":              Slot("b"),
		"a{{b}}":               Slot("{b"),
	} {
		if got := Slot(key); got != want {
			t.Errorf("Slot(%q) = %d, want %d", key, got, want)
		}
	}
	for _, key := range []string{"a{}{b}", "a{b", "a}b{"} { // no tag
		if got, want := Slot(key), int(crc16(key))%clusterSlots; got != want {
			t.Errorf("Slot(%q) = %d, want %d", key, got, want)
		}
	}
}

// TestSlotIsTheServers compares with what a server says, for keys that are mostly braces.
func TestSlotIsTheServers(t *testing.T) {
	r := StartRedis(t, &RedisOptions{Args: []string{"--cluster-enabled", "yes", "--cluster-port", "0"}})
	const letters = "{}{}ab\x00\xff"
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		key := make([]byte, random.IntN(8))
		for i := range key {
			key[i] = letters[random.IntN(len(letters))]
		}
		if got := must(t, r, "CLUSTER", "KEYSLOT", string(key)); got != strconv.Itoa(Slot(string(key))) {
			t.Errorf("Slot(%q) = %d, the server says %s", key, Slot(string(key)), got)
		}
	}
}
