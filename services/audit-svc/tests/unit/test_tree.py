"""The tree: against a naive recursive reading of RFC 6962, against pymerkle, and against published vectors."""

from hashlib import sha256

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_svc.log import domain
from audit_svc.log.domain import TileId
from audit_svc.log.errors import TreeCorrupt

# The eight leaves, roots and proofs of the test suite of certificate-transparency (merkletree tests, "reference" inputs).
LEAVES = [
    bytes.fromhex(leaf) for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(leaves):
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index, leaves):
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(old, leaves, whole):
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if old <= k:
        return [*naive_subproof(old, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(old - k, leaves[k:], False), naive_root(leaves[:k])]


def grow(leaves, sizes=()):
    """Append the leaves, cut at the sizes; return all tiles."""
    tiles, size = {}, 0
    for end in [*sorted(set(sizes)), len(leaves)]:
        edge = {tile: tiles[tile] for tile in domain.edge(size)}
        tiles |= domain.append(size, edge, [domain.leaf_hash(leaf) for leaf in leaves[size:end]])
        size = end
    return tiles


def needed(ranges, tiles):
    return {tile: tiles[tile] for tile in domain.tiles_for(ranges)}


def root(size, tiles):
    ranges = [(0, size)]
    return domain.hashes_of(ranges, needed(ranges, tiles))[0]


def test_roots_are_those_of_the_published_vectors():
    assert domain.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    tiles = grow(LEAVES)
    assert [root(size, tiles).hex() for size in range(1, 9)] == ROOTS


def test_proofs_are_those_of_the_published_vectors():
    tiles = grow(LEAVES)

    def proof(ranges):
        return [found.hex() for found in domain.hashes_of(ranges, needed(ranges, tiles))]

    assert proof(domain.inclusion_ranges(0, 1)) == []
    assert proof(domain.inclusion_ranges(0, 8)) == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert proof(domain.inclusion_ranges(2, 3)) == ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]
    assert proof(domain.consistency_ranges(6, 8)) == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.data())
def test_any_growth_gives_the_roots_and_proofs_of_the_recursive_definition(size, data):
    leaves = [number.to_bytes(3, "big") for number in range(size)]
    tiles = grow(leaves, data.draw(st.lists(st.integers(0, size), max_size=6)))
    assert root(size, tiles) == naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    ranges = domain.inclusion_ranges(index, size)
    assert domain.hashes_of(ranges, needed(ranges, tiles)) == naive_path(index, leaves)
    old = data.draw(st.integers(1, size))
    ranges = domain.consistency_ranges(old, size)
    assert domain.hashes_of(ranges, needed(ranges, tiles)) == naive_subproof(old, leaves, True)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 600), st.data())
def test_tiles_that_have_grown_still_answer_for_every_earlier_size(size, data):
    leaves = [number.to_bytes(3, "big") for number in range(size)]
    tiles = grow(leaves)
    earlier = data.draw(st.integers(1, size))
    assert root(earlier, tiles) == naive_root(leaves[:earlier])
    index = data.draw(st.integers(0, earlier - 1))
    ranges = domain.inclusion_ranges(index, earlier)
    assert domain.hashes_of(ranges, needed(ranges, tiles)) == naive_path(index, leaves[:earlier])


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 1000])
def test_roots_are_those_of_pymerkle(size):
    leaves = [b"leaf %d" % number for number in range(size)]
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        other.append_entry(leaf)
    assert root(size, grow(leaves, [size // 2])) == other.get_root()


def test_growth_over_the_second_level_keeps_tiles_roots_and_proofs_right():
    size = 256 * 256 + 300
    hashes = [sha256(b"\x00" + number.to_bytes(4, "big")).digest() for number in range(size)]
    tiles, at = {}, 0
    for end in (1, 255, 256, 257, 65_535, 65_536, 65_537, size):
        tiles |= domain.append(at, {tile: tiles[tile] for tile in domain.edge(at)}, hashes[at:end])
        at = end

    def reference(row):
        """The root by levels: pairs are joined, an odd one is carried up."""
        while len(row) > 1:
            row = [domain.node_hash(*row[n : n + 2]) if n + 1 < len(row) else row[n] for n in range(0, len(row), 2)]
        return row[0]

    for tree_size in (255, 256, 257, 65_535, 65_536, 65_537, size):
        assert root(tree_size, tiles) == reference(hashes[:tree_size])
    assert {tile: len(tiles[tile]) // 32 for tile in domain.edge(size)} == {TileId(0, 257): 44, TileId(1, 1): 1, TileId(2, 0): 1}
    assert len(tiles[TileId(1, 0)]) == 8192
    assert tiles[TileId(1, 0)][:32] == reference(hashes[:256])
    assert tiles[TileId(2, 0)] == reference(hashes[:65_536])
    for index in (0, 255, 256, 65_535, 65_536, size - 1):
        ranges = domain.inclusion_ranges(index, size)
        assert len(domain.tiles_for(ranges)) <= 6
        proof = domain.hashes_of(ranges, needed(ranges, tiles))
        assert verify_inclusion(index, size, hashes[index], proof) == root(size, tiles)


def verify_inclusion(index, size, leaf, proof):
    """RFC 9162 section 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        assert sn
        if fn & 1 or fn == sn:
            r = domain.node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = domain.node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


def test_an_edge_tile_of_the_wrong_length_stops_the_log():
    leaves = [bytes([number]) for number in range(10)]
    tiles = grow(leaves)
    for wrong in (b"", tiles[TileId(0, 0)][:-32], tiles[TileId(0, 0)] + bytes(32)):
        with pytest.raises(TreeCorrupt, match="tile 0/0"):
            domain.append(10, {TileId(0, 0): wrong}, [bytes(32)])


def test_a_missing_or_short_tile_is_never_proven_from():
    tiles = grow([bytes([number]) for number in range(200)])
    with pytest.raises(TreeCorrupt):
        domain.range_hash((0, 200), {TileId(0, 0): tiles[TileId(0, 0)][:-1]})
    with pytest.raises(TreeCorrupt):
        domain.range_hash((0, 300), {TileId(0, 0): tiles[TileId(0, 0)]})


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_a_leaf_outside_the_tree_has_no_proof(index, size):
    with pytest.raises(ValueError, match="is not in a tree"):
        domain.inclusion_ranges(index, size)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_a_greater_tree_is_not_the_beginning_of_a_smaller_one(old, new):
    with pytest.raises(ValueError, match="not the beginning"):
        domain.consistency_ranges(old, new)


@pytest.mark.parametrize(
    ("path", "index", "width"),
    [
        ("000", 0, 256),
        ("999", 999, 256),
        ("x001/000", 1000, 256),
        ("x001/x234/067", 1_234_067, 256),
        ("x001/x234/067.p/8", 1_234_067, 8),
        ("000.p/255", 0, 255),
    ],
)
def test_tile_paths_are_read_as_they_are_written(path, index, width):
    assert domain.parse_tile_path(path) == (index, width)
    assert domain.encode_number(index) == path.partition(".p/")[0]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "00",
        "0000",
        "x000/000",
        "001/000",
        "x001",
        "x001/x000",
        "abc",
        "-01",
        "00٣",
        "000.p/0",
        "000.p/256",
        "000.p/08",
        "000.p/",
        "000.p/x",
        "000/",
        "../000",
        "x999/" * 9 + "000",
    ],
)
def test_tile_paths_in_any_other_form_are_refused(path):
    with pytest.raises(ValueError):
        domain.parse_tile_path(path)


@given(st.integers(0, 10**15), st.integers(1, 256))
def test_every_tile_path_comes_back(index, width):
    path = domain.encode_number(index) + (f".p/{width}" if width < 256 else "")
    assert domain.parse_tile_path(path) == (index, width)
