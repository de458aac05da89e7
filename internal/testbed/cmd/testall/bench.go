package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// benchAll runs the benchmarks of all modules. Its output is what benchstat reads.
func benchAll(ctx context.Context, root string, modules []string, s *settings) error {
	flags := []string{
		"test", "-run", "^$", "-bench", s.bench, "-benchmem",
		"-benchtime", s.benchTime, "-count", strconv.Itoa(s.count), "-timeout", "2h",
	}
	for _, module := range modules {
		dir := filepath.Join(root, module)
		packages, err := packagesWith(dir, "Benchmark")
		if err != nil {
			return err
		}
		if len(packages) == 0 {
			continue
		}
		if err := goTool(ctx, dir, os.Stdout, slices.Concat(flags, packages)...); err != nil {
			return err
		}
	}
	return nil
}
