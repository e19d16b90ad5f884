package embed

import (
	"encoding/binary"
	"slices"
)

// trie finds pieces by their bytes. It is a double array of uint32 units, read where it lies in the file. The child of a unit
// by byte c lies at unit base^c, and it is one if its low byte is c:
//
//	bits 0-7    the byte that leads here; 0 for the unit of a value
//	bit  8      a piece ends here; its id is in the value unit at base
//	bit  9      as bit 8, but without children: the id is in place of base
//	bits 10-31  base; in a value unit the id
//
// No two units have the same base, so the byte is all that needs checking. A damaged trie finds other pieces, or none, but never
// reads outside of itself.
type trie []byte

const (
	unitEnd  = 1 << 8
	unitLeaf = 1 << 9
	unitBase = 10
)

// unit is unit i, 0 outside of the trie.
func (t trie) unit(i uint32) uint32 {
	if uint64(i)*4+4 > uint64(len(t)) {
		return 0
	}
	return binary.LittleEndian.Uint32(t[4*i:])
}

// step goes from unit u by byte c, and says whether there is such a child.
func (t trie) step(u uint32, c byte) (uint32, bool) {
	if c == 0 || u&unitLeaf != 0 {
		return 0, false
	}
	next := t.unit(u>>unitBase ^ uint32(c))
	return next, byte(next) == c
}

// id gives the piece that ends at unit u, -1 if none does.
func (t trie) id(u uint32) int32 {
	switch {
	case u&unitLeaf != 0:
		return int32(u >> unitBase)
	case u&unitEnd != 0:
		return int32(t.unit(u>>unitBase) >> unitBase)
	}
	return -1
}

// find gives the unit that the bytes of s lead to.
func (t trie) find(s string) (u uint32, ok bool) {
	u, ok = t.unit(0), true
	for i := 0; ok && i < len(s); i++ {
		u, ok = t.step(u, s[i])
	}
	return u, ok
}

// trieBuilder lays pieces out.
type trieBuilder struct {
	pieces []string
	order  []int
	units  []uint32
	taken  []bool  // bases in use
	free   []int32 // i itself if unit i is free, else a unit nearer to the next free one
	first  int     // units below it are used or given up
}

// buildTrie lays the pieces out; pieces[i] has id i, empty ones are left out.
func buildTrie(pieces []string) (t trie, longest int) {
	b := &trieBuilder{pieces: pieces, units: make([]uint32, 256), taken: make([]bool, 256), free: make([]int32, 257), first: 1}
	for i, p := range pieces {
		if p != "" {
			b.order = append(b.order, i)
			longest = max(longest, len(p))
		}
	}
	slices.SortFunc(b.order, func(x, y int) int {
		if pieces[x] < pieces[y] {
			return -1
		}
		return 1
	})
	for i := range b.free {
		b.free[i] = int32(i)
	}
	b.free[0] = 1
	if len(b.order) > 0 {
		b.build(0, 0, len(b.order), 0)
	}
	for _, u := range b.units {
		t = binary.LittleEndian.AppendUint32(t, u)
	}
	return t, longest
}

// nextFree gives the first free unit at or after i.
func (b *trieBuilder) nextFree(i int) int {
	for int(b.free[i]) != i {
		b.free[i] = b.free[b.free[i]]
		i = int(b.free[i])
	}
	return i
}

// place finds a base where all labels have room, and takes it.
func (b *trieBuilder) place(labels []byte) uint32 {
	b.first = b.nextFree(b.first)
	tries := 0
	for i := b.first; ; i = b.nextFree(i + 1) {
		if i == len(b.units) {
			b.taken = append(b.taken, make([]bool, 256)...)
			b.units = append(b.units, make([]uint32, 256)...)
			for len(b.free) <= len(b.units) {
				b.free = append(b.free, int32(len(b.free)))
			}
		}
		if tries++; tries == 512 { // what is this full is given up
			b.first = b.nextFree(b.first + 1)
		}
		base := i ^ int(labels[0])
		if b.taken[base] || base == 0 || slices.ContainsFunc(labels[1:], func(c byte) bool { return b.free[base^int(c)] != int32(base^int(c)) }) {
			continue
		}
		b.taken[base] = true
		for _, c := range labels {
			b.free[base^int(c)] = int32(base^int(c)) + 1
		}
		return uint32(base)
	}
}

// build fills unit at with the pieces order[lo:hi], which are alike in their first d bytes.
func (b *trieBuilder) build(at uint32, lo, hi, d int) {
	end := len(b.pieces[b.order[lo]]) == d
	if end && hi == lo+1 {
		b.units[at] |= unitLeaf | uint32(b.order[lo])<<unitBase
		return
	}
	var labels []byte
	var cuts []int
	if end {
		labels, cuts = append(labels, 0), append(cuts, lo)
	}
	for i := lo + len(labels); i < hi; i++ {
		if c := b.pieces[b.order[i]][d]; len(labels) == 0 || labels[len(labels)-1] != c {
			labels, cuts = append(labels, c), append(cuts, i)
		}
	}
	base := b.place(labels)
	b.units[at] |= base << unitBase
	if end {
		b.units[at] |= unitEnd
	}
	cuts = append(cuts, hi)
	for _, c := range labels {
		b.units[base^uint32(c)] = uint32(c)
	}
	for i, c := range labels {
		if c == 0 {
			b.units[base] = uint32(b.order[lo]) << unitBase
			continue
		}
		b.build(base^uint32(c), cuts[i], cuts[i+1], d+1)
	}
}
