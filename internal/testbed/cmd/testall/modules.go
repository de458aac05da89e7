package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const rootModule = "github.com/concord-go/concord"

// findRoot returns the directory of the root module, which is the working directory or above it.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module "+rootModule+"\n")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside of module " + rootModule)
		}
		dir = parent
	}
}

// findModules returns the directories of all modules below root, relative to it. The first is the
// root module itself. The module that only pins tools is left out.
func findModules(root string) ([]string, error) {
	var modules []string
	err := walk(root, func(path string, d fs.DirEntry) error {
		if d.Name() != "go.mod" {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err == nil && dir != "tools" {
			modules = append(modules, dir)
		}
		return err
	})
	slices.Sort(modules)
	return modules, err
}

// packagesWith returns the packages of a module, as ./ patterns, whose test files have a function
// with the given prefix. Only these need to be built for a mode that runs nothing else.
func packagesWith(module, prefix string) ([]string, error) {
	function := regexp.MustCompile(`(?m)^func ` + prefix + `\w*\(`)
	var packages []string
	err := walk(module, func(path string, d fs.DirEntry) error {
		if d.IsDir() && path != module && isFile(filepath.Join(path, "go.mod")) {
			return fs.SkipDir // another module
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !function.Match(text) {
			return err
		}
		dir, err := filepath.Rel(module, filepath.Dir(path))
		if pattern := "./" + filepath.ToSlash(dir); err == nil && !slices.Contains(packages, pattern) {
			packages = append(packages, pattern)
		}
		return err
	})
	return packages, err
}

// walk visits the directories and files that the go command does not ignore.
func walk(root string, visit func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (name == "testdata" || name[0] == '.' || name[0] == '_') {
			return fs.SkipDir
		}
		return visit(path, d)
	})
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
