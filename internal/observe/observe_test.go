package observe

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTheFilesInDeployAreWhatIsDeclaredHere(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what internal/observe declares: run `make observe`", path)
		}
	}
}
