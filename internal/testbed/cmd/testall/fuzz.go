package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// fuzzAll runs every fuzz target of every module, one after the other, and goes on after a failure.
func fuzzAll(ctx context.Context, root string, modules []string, s *settings) error {
	match, err := regexp.Compile(s.fuzz)
	if err != nil {
		return fmt.Errorf("-fuzz: %w", err)
	}
	targets := 0
	var failures []error
	for _, module := range modules {
		dir := filepath.Join(root, module)
		packages, err := packagesWith(dir, "Fuzz")
		if err != nil {
			return err
		}
		for _, pkg := range packages {
			names, err := fuzzTargets(ctx, dir, pkg)
			if err != nil {
				return err
			}
			for _, name := range names {
				if !match.MatchString(name) {
					continue
				}
				targets++
				fmt.Printf("\n== %s %s %s\n", module, pkg, name)
				err := goTool(ctx, dir, os.Stdout, "test", "-run", "^$", "-fuzz", "^"+name+"$", "-fuzztime", s.fuzzTime, pkg)
				if ctx.Err() != nil {
					return err
				}
				if err != nil {
					failures = append(failures, fmt.Errorf("%s %s %s: %w", module, pkg, name, err))
				}
			}
		}
	}
	fmt.Printf("\nfuzz targets: %d, failed: %d\n", targets, len(failures))
	return errors.Join(failures...)
}

// fuzzTargets returns the names of the fuzz targets of a package.
func fuzzTargets(ctx context.Context, dir, pkg string) ([]string, error) {
	var out bytes.Buffer
	if err := goTool(ctx, dir, &out, "test", "-list", "^Fuzz", pkg); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out.String())
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "Fuzz") {
			names = append(names, strings.TrimSpace(line))
		}
	}
	return names, nil
}
