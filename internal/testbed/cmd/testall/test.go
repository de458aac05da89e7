package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

const (
	// testTimeout bounds the tests of one package.
	testTimeout = "10m"

	// exactPrefix marks the tests that count round trips or allocations, which are not exact
	// under the race detector.
	exactPrefix = "TestExact"

	// testbedModule is the module whose suites start servers of their own.
	testbedModule = "internal/testbed"

	// atATime is how many suites and programs that start servers run at a time, also on a larger machine:
	// they wait more than they work.
	atATime = "3"
)

// pass is one run of go test over one module.
type pass struct {
	module, name string
	ok           bool
	took         time.Duration
}

// testAll tests all modules and ends with a summary.
func testAll(ctx context.Context, root string, modules []string) error {
	rep := newReport(os.Stdout)
	var passes []pass
	for _, module := range modules {
		dir := filepath.Join(root, module)
		var servers *groups
		if module == groupsModule {
			var err error
			if servers, err = useGroups(ctx); err != nil {
				return err
			}
		}
		common := []string{"-timeout", testTimeout}
		if module == testbedModule || module == groupsModule {
			common = append(common, "-p", atATime)
		}
		race := slices.Concat(common, []string{"-race", "-shuffle=on", "-skip", "^" + exactPrefix, "./..."})
		passes = append(passes, goTest(ctx, rep, dir, module, "race", race))
		if servers != nil {
			servers.stop()
		}

		exact, err := packagesWith(dir, exactPrefix)
		if err != nil {
			return err
		}
		if len(exact) > 0 && ctx.Err() == nil {
			args := slices.Concat(common, []string{"-count=1", "-run", "^" + exactPrefix}, exact)
			passes = append(passes, goTest(ctx, rep, dir, module, "exact", args))
		}
		if ctx.Err() != nil {
			break
		}
	}
	rep.printSkips()
	printPasses(passes)
	rep.printTotals()
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case rep.failed > 0:
		return errors.New("tests failed")
	}
	return nil
}

// goTest runs go test once.
func goTest(ctx context.Context, rep *report, dir, module, name string, args []string) pass {
	fmt.Printf("\n== %s: %s\n", module, name)
	start := time.Now()
	failed := rep.failed
	err := goTool(ctx, dir, rep, append([]string{"test", "-json"}, args...)...)
	rep.flush()
	if err != nil && rep.failed == failed {
		rep.failed++ // go test itself failed, and has said why
		fmt.Printf("FAIL\t%s: %v\n", module, err)
	}
	return pass{module: module, name: name, ok: rep.failed == failed, took: time.Since(start)}
}

func printPasses(passes []pass) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "module\tpass\tresult\ttime")
	for _, p := range passes {
		result := "ok"
		if !p.ok {
			result = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1fs\n", p.module, p.name, result, p.took.Seconds())
	}
	w.Flush()
}
