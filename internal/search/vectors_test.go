package search

import (
	"errors"
	"slices"
	"testing"
)

func TestVectorsAreReadOnce(t *testing.T) {
	var m vectorMemory
	var asked []int64
	read := func(missing []int64) (map[int64][]float32, error) {
		asked = missing
		out := map[int64][]float32{}
		for _, id := range missing {
			if id != 9 { // it has none
				out[id] = []float32{float32(id)}
			}
		}
		return out, nil
	}
	for _, x := range []struct{ ids, read []int64 }{
		{[]int64{1, 2, 9}, []int64{1, 2, 9}},
		{[]int64{1, 2}, nil},
		{[]int64{2, 3, 9}, []int64{3, 9}},
	} {
		asked = nil
		got, err := m.get(x.ids, read)
		if err != nil || !slices.Equal(asked, x.read) {
			t.Errorf("%v: read %v, want %v; %v", x.ids, asked, x.read, err)
		}
		for _, id := range x.ids {
			if v := got[id]; id != 9 && (len(v) != 1 || v[0] != float32(id)) || id == 9 && v != nil {
				t.Errorf("%d has %v", id, v)
			}
		}
	}
	if _, err := m.get([]int64{7}, func([]int64) (map[int64][]float32, error) { return nil, errors.New("broken") }); err == nil {
		t.Error("a failed read is no error")
	}
	for id := range int64(2 * maxRemembered) {
		_, _ = m.get([]int64{100 + id}, read)
	}
	if len(m.known) != maxRemembered {
		t.Errorf("%d are remembered", len(m.known))
	}
}
