// Command tlog_verify reads a log served as C2SP tlog-tiles and checks all of it with golang.org/x/mod/sumdb:
// the checkpoint's signature, every tile and entry against its root, inclusion and consistency proofs.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var client = http.Client{Timeout: 20 * time.Second}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: tlog_verify URL LOG-KEY")
		os.Exit(2)
	}
	size, err := verify(strings.TrimSuffix(os.Args[1], "/"), strings.TrimSpace(os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	fmt.Printf("verified %d entries\n", size)
}

func get(url string) ([]byte, error) {
	answer, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, answer.Status, body)
	}
	return body, nil
}

// tiles reads tiles by their tlog-tiles addresses, which leave out the height that sumdb's own addresses have,
// and keeps those that were found to be authentic.
type tiles struct {
	url  string
	kept map[tlog.Tile][]byte
}

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles(authentic []tlog.Tile, data [][]byte) {
	for i, tile := range authentic {
		t.kept[tile] = data[i]
	}
}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(wanted))
	for i, tile := range wanted {
		if data, ok := t.kept[tile]; ok {
			found[i] = data
			continue
		}
		data, err := get(t.url + "/tile/" + strings.TrimPrefix(tile.Path(), "tile/8/"))
		if err != nil {
			return nil, err
		}
		found[i] = data
	}
	return found, nil
}

func checkpoint(url, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("log key: %w", err)
	}
	signed, err := get(url + "/checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: not one of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

func verify(url, key string) (int64, error) {
	tree, err := checkpoint(url, key)
	if err != nil {
		return 0, err
	}
	reader := tlog.TileHashReader(tree, tiles{url, map[tlog.Tile][]byte{}})
	for first := int64(0); first < tree.N; first += 1 << height {
		if err := bundle(url, tree, reader, first); err != nil {
			return 0, err
		}
	}
	for _, size := range []int64{1, tree.N / 3, tree.N / 2, tree.N - 1, tree.N} {
		if size < 1 {
			continue
		}
		if err := grown(url, tree, reader, size); err != nil {
			return 0, err
		}
	}
	return tree.N, nil
}

// bundle checks up to 256 entries: each against the tree's hashes, and the first by an inclusion proof of its own.
func bundle(url string, tree tlog.Tree, reader tlog.HashReader, first int64) error {
	tile := tlog.Tile{H: height, L: 0, N: first >> height, W: int(min(tree.N-first, 1<<height))}
	data, err := get(url + "/tile/entries/" + strings.TrimPrefix(tile.Path(), "tile/8/0/"))
	if err != nil {
		return err
	}
	indexes := make([]int64, tile.W)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	hashes, err := reader.ReadHashes(indexes)
	if err != nil {
		return fmt.Errorf("tiles at %d: %w", first, err)
	}
	for i, hash := range hashes {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return fmt.Errorf("the bundle at %d ends before entry %d", first, first+int64(i))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if tlog.RecordHash(data[2:end]) != hash {
			return fmt.Errorf("entry %d is not the one in the tree", first+int64(i))
		}
		data = data[end:]
	}
	if len(data) != 0 {
		return fmt.Errorf("the bundle at %d has %d bytes too many", first, len(data))
	}
	proof, err := tlog.ProveRecord(tree.N, first, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, first, hashes[0])
}

// grown checks the log's own consistency proof from an earlier size.
func grown(url string, tree tlog.Tree, reader tlog.HashReader, size int64) error {
	body, err := get(fmt.Sprintf("%s/v1/consistency?from=%d&to=%d", url, size, tree.N))
	if err != nil {
		return err
	}
	var answer struct{ Proof []string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	proof := make(tlog.TreeProof, len(answer.Proof))
	for i, text := range answer.Proof {
		step, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(step) != tlog.HashSize {
			return fmt.Errorf("consistency from %d: step %d is not a hash", size, i)
		}
		copy(proof[i][:], step)
	}
	old, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, old); err != nil {
		return fmt.Errorf("consistency from %d: %w", size, err)
	}
	return nil
}
