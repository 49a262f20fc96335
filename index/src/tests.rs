//! The index against brute force over floats, on made-up vectors of a seed.

use super::*;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn floats(&mut self, dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| (self.next() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0).collect()
    }

    fn vector(&mut self, dimensions: usize) -> Vector {
        Vector::new(&self.floats(dimensions)).unwrap()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn filled(count: usize, dimensions: usize, random: &mut Random) -> Index {
    let mut index = Index::new(dimensions);
    for key in 0..count {
        assert!(index.insert(key as Key, random.vector(dimensions)));
    }
    index
}

fn with_graph(mut index: Index) -> Index {
    let mut building = index.begin_graph();
    while !building.step(100) {}
    index.adopt(building);
    index
}

fn keys(hits: &[Hit]) -> Vec<Key> {
    hits.iter().map(|hit| hit.key).collect()
}

/// How many of the exact ten are among those that were found, of a hundred queries.
fn recall(index: &Index, dimensions: usize, random: &mut Random) -> f64 {
    let mut found = 0;
    for _ in 0..100 {
        let query = random.vector(dimensions);
        let exact = keys(&index.exact(&query, 10));
        found += index.search(&query, 10).iter().filter(|hit| exact.contains(&hit.key)).count();
    }
    found as f64 / 1_000.0
}

#[test]
fn without_a_graph_it_is_what_brute_force_over_floats_finds() {
    let mut random = Random(1);
    let floats: Vec<Vec<f32>> = (0..500).map(|_| random.floats(48)).collect();
    let mut index = Index::new(48);
    for (key, values) in floats.iter().enumerate() {
        index.insert(key as Key, Vector::new(values).unwrap());
    }
    for _ in 0..50 {
        let query = random.floats(48);
        let mut exact: Vec<(f32, Key)> =
            floats.iter().enumerate().map(|(key, values)| (cosine(&query, values), key as Key)).collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let hits = index.search(&Vector::new(&query).unwrap(), 10);
        assert_eq!(keys(&hits), exact[..10].iter().map(|(_, key)| *key).collect::<Vec<_>>());
        assert!(hits.iter().zip(&exact).all(|(hit, (cosine, _))| (hit.similarity - cosine).abs() < 1e-3));
    }
}

#[test]
fn a_graph_finds_nearly_all_of_it() {
    let mut random = Random(2);
    let index = with_graph(filled(3_000, 32, &mut random));
    assert!(index.has_graph());
    let recall = recall(&index, 32, &mut random);
    assert!(recall >= 0.95, "{recall}");
}

#[test]
fn what_was_removed_is_never_found() {
    let mut random = Random(3);
    for graph in [false, true] {
        let mut index = filled(1_000, 16, &mut random);
        if graph {
            index = with_graph(index);
        }
        let query = random.vector(16);
        // All that is near goes: what is found lies behind it.
        let near = keys(&index.exact(&query, 150));
        for key in &near {
            assert!(index.remove(*key));
            assert!(!index.remove(*key), "twice");
        }
        let hits = keys(&index.search(&query, 20));
        assert_eq!((hits.len(), index.len()), (20, 850));
        assert!(hits.iter().all(|key| !near.contains(key)));
    }
}

#[test]
fn the_dead_make_room() {
    let mut random = Random(4);
    let mut index = filled(1_000, 16, &mut random);
    for key in 0..600 {
        index.remove(key);
    }
    assert!(index.rows.len() <= 500, "{} rows for {} vectors", index.rows.len(), index.len());
    let mut index = with_graph(filled(1_000, 16, &mut random));
    for key in 0..600 {
        index.remove(key);
    }
    assert_eq!(index.rows.len(), 1_000, "they still lead the way");
    assert!(index.has_many_dead());
    let index = with_graph(index);
    assert_eq!((index.rows.len(), index.len()), (400, 400));
    assert!(recall(&index, 16, &mut random) >= 0.95);
}

#[test]
fn a_graph_takes_up_what_has_changed_while_it_was_built() {
    let mut random = Random(5);
    let mut index = filled(500, 16, &mut random);
    let mut building = index.begin_graph();
    while !building.step(64) {}
    let (changed, new) = (random.vector(16), random.vector(16));
    index.remove(1);
    index.insert(2, changed.clone());
    index.insert(1_000, new.clone());
    index.adopt(building);
    assert_eq!(index.len(), 500);
    assert_eq!(index.search(&changed, 1)[0].key, 2);
    assert_eq!(index.search(&new, 1)[0].key, 1_000);
    let all = keys(&index.search(&new, 600));
    assert!(all.len() == 500 && !all.contains(&1), "{}", all.len());
}

#[test]
fn a_key_has_one_vector_and_all_are_of_one_length() {
    let mut random = Random(6);
    let mut index = Index::new(8);
    let (first, second) = (random.vector(8), random.vector(8));
    index.insert(7, first);
    index.insert(7, second.clone());
    assert_eq!(index.len(), 1);
    assert!(index.search(&second, 5)[0].similarity > 0.999);
    assert!(!index.insert(8, random.vector(9)), "of another length");
    assert!(index.search(&random.vector(9), 5).is_empty());
    assert!(Index::new(8).search(&second, 5).is_empty());
}

#[test]
fn many_of_the_same_do_not_hide_each_other() {
    let mut random = Random(7);
    let (same, mut index) = (random.vector(16), filled(200, 16, &mut Random(8)));
    for key in 1_000..1_300 {
        index.insert(key, same.clone());
    }
    let index = with_graph(index);
    let hits = index.search(&same, 20);
    assert!(hits.len() == 20 && hits.iter().all(|hit| hit.similarity > 0.999), "{hits:?}");
}

#[test]
fn only_directions_are_vectors() {
    for wrong in [&[0.0, 0.0][..], &[f32::NAN, 1.0], &[f32::INFINITY, 1.0], &[]] {
        assert!(Vector::new(wrong).is_none(), "{wrong:?}");
    }
    let long = Vector::new(&[f32::MAX, f32::MAX, -f32::MAX]).unwrap();
    assert!(long.similarity(&long) > 0.999 && long.similarity(&long) <= 1.0);
    let axis = Vector::new(&[1.0, 0.0]).unwrap();
    assert!((axis.similarity(&Vector::new(&[-3.0, 0.0]).unwrap()) + 1.0).abs() < 1e-3);
}

#[test]
fn a_vector_is_bytes_and_not_all_bytes_are_one() {
    let mut random = Random(9);
    let vector = random.vector(384);
    let bytes = vector.to_bytes();
    assert_eq!(bytes.len(), 768);
    assert!(Vector::from_bytes(&bytes).unwrap().similarity(&vector) > 0.999);
    for wrong in [&[][..], &[1], &[0, 0], &[0xff, 0x7f, 0xff, 0x7f], &[0, 0x80]] {
        assert!(Vector::from_bytes(wrong).is_none(), "{wrong:?}");
    }
}
