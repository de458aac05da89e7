// Cron is a scheduler with several replicas that runs each tick of a schedule on one of them, while
// the leader is killed, or asked to stop, in the middle of a run.
//
// The replicas elect a leader, which runs the jobs. A run ends with a guarded transaction: the tick and
// its output are recorded, and where the job stands, under the term of the leader. The next leader goes
// on behind the last tick that was recorded. A leader that dies, or is frozen for longer than its term,
// between run and record leaves a tick that the next one runs again; it is recorded once.
//
//	go run ./examples/cron
//	go run ./examples/cron -job "report catchup:5 */2 * * * * *" -job "clean skip * * * * * *"
//	go run ./examples/cron -backend redis://127.0.0.1:6379 -harm kill,kill,stop
//
// In memory the replicas are goroutines, and a kill is played. On a server they are processes, which
// get SIGKILL and SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// plan is what the flags say.
type plan struct {
	name     string // of the election
	backend  string
	db       string
	replicas int
	ttl      time.Duration
	jobs     []*job
	harm     []string
	end      time.Time // of the schedule: ticks after it are not run
	replica  int       // number of this replica process, 0 for the one that starts them
}

// longest is what a run may take. A leader that is asked to stop is given as long to finish.
const longest = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cron:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	p, err := parse(out, args)
	if err != nil {
		return err
	}
	if p.replica > 0 {
		return replicaProcess(ctx, out, p)
	}
	if p.db == "sqlite" {
		dir, err := os.MkdirTemp("", "cron-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }() // what is left is in the directory for temporary files
		p.db = "sqlite://" + dir + "/cron.db"
	}
	ledger, err := openLedger(ctx, p.db)
	if err != nil {
		return err
	}
	defer ledger.close()
	start := time.Now()
	if err := ledger.begin(ctx, p.jobs, start); err != nil {
		return err
	}
	engine, _, _ := strings.Cut(p.backend, "://")
	fmt.Fprintf(out, "%d replicas run a schedule for %v. A term lasts %v without a renewal. Engine: %s. Database: %s.\n",
		p.replicas, p.end.Sub(start).Round(time.Second), p.ttl, engine, ledger.dialect)
	for _, j := range p.jobs {
		fmt.Fprintf(out, "   job %s\n", j)
	}
	fleet := newFleet(out, p, start)
	if p.backend == "memory" {
		err = playFleet(ctx, fleet, ledger)
	} else {
		err = processFleet(ctx, fleet)
	}
	return errors.Join(err, settle(context.WithoutCancel(ctx), out, p.jobs, ledger, start, p.end, err != nil))
}

// settle looks whether each tick is in the ledger as it should be. A run that was broken off has come
// as far as the last tick of each job.
func settle(ctx context.Context, out io.Writer, jobs []*job, ledger *ledger, start, end time.Time, broken bool) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var all account
	for _, j := range jobs {
		a, err := ledger.account(ctx, j, start, end, broken)
		if err != nil {
			return err
		}
		all.add(a)
	}
	if broken && all.due == 0 {
		return nil // it has not begun
	}
	fmt.Fprintf(out, "%d ticks due: %d recorded once, %d twice, %d skipped by policy, %d dropped by policy, %d lost.\n",
		all.due, all.once, all.twice, all.skipped, all.dropped, all.lost)
	fmt.Fprintf(out, "Runs that were begun again, because the first was not recorded: %d.\n", all.again)
	if all.twice+all.lost > 0 {
		return errors.New("the ledger is wrong")
	}
	return nil
}

func parse(out io.Writer, args []string) (*plan, error) {
	p := &plan{}
	flags := flag.NewFlagSet("cron", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&p.name, "name", "cron", "`name` of the election, one for each schedule")
	flags.StringVar(&p.backend, "backend", "memory", "`engine` of the election: "+backends)
	flags.StringVar(&p.db, "db", "sqlite", "`database`: sqlite, or postgres://user:password@host/name")
	flags.IntVar(&p.replicas, "replicas", 3, "number of replicas, 2 to 20")
	flags.DurationVar(&p.ttl, "ttl", 2*time.Second, "how long a term lasts without a renewal, 100ms to 1m")
	flags.Func("job", "a `job`, may be repeated: a name, skip or catchup:1 to catchup:100, and a cron expression in UTC, "+
		"with seconds if it has six fields. Of ticks that were missed, skip runs the latest, catchup:n the n latest", func(s string) error {
		j, err := parseJob(s)
		p.jobs = append(p.jobs, j)
		return err
	})
	length := flags.Duration("for", 12*time.Second, "how long the schedule lasts, 1s to 24h")
	harm := flags.String("harm", "kill,stop", "what is done to the `leader`, evenly in that time: kill or stop, or none")
	flags.IntVar(&p.replica, "replica", 0, "be this `replica`; used by the program itself, as is -end")
	end := flags.Int64("end", 0, "when the schedule ends, in `seconds` since 1970")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if p.replicas < 2 || p.replicas > 20 || p.ttl < 100*time.Millisecond || p.ttl > time.Minute || *length < time.Second || *length > 24*time.Hour {
		return nil, errors.New("-replicas must be 2 to 20, -ttl 100ms to 1m, -for 1s to 24h")
	}
	p.end = time.Now().Add(*length)
	if *end > 0 {
		p.end = time.Unix(*end, 0)
	}
	if *harm != "" && *harm != "none" {
		p.harm = strings.Split(*harm, ",")
	}
	for _, blow := range p.harm {
		if blow != "kill" && blow != "stop" {
			return nil, fmt.Errorf("-harm must be kill or stop, with commas between, not %q", blow)
		}
	}
	if p.jobs == nil {
		p.jobs = exampleJobs()
	}
	return p, distinct(p.jobs)
}
