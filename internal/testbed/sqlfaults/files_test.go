package sqlfaults

import (
	"os"
	"path/filepath"

	"github.com/concord-go/concord/fence"
)

// copyFiles copies what is in one directory into another.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func fenceToken(n uint64) fence.Token { return fence.Token(n) }
