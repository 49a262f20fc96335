//! The graph: HNSW (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
//! Navigable Small World graphs", 2016), as `hnsw_rs` builds it.
//!
//! Of that crate only building and searching are used. Its dumps are read without checks, so there are none.

use hnsw_rs::prelude::{Distance, Hnsw};

use crate::Vector;

/// Links of a point in each layer, and twice as many in the lowest.
const LINKS: usize = 12;
/// How many near points are looked at for the links of a new one.
const EF_CONSTRUCTION: usize = 96;
/// How many near points a search keeps in sight, at least.
const EF_SEARCH: usize = 96;
/// As many as the crate has.
const LAYERS: usize = 16;
/// What a point takes in the graph, without its vector, in bytes: each of its links is an allocation. Measured.
pub(crate) const POINT_BYTES: usize = 2_500;

/// Points by their places in the index.
pub(crate) struct Graph(Hnsw<'static, Vector, Cosine>);

/// Of two points, each a slice of one vector: so the vectors themselves are shared with the index.
struct Cosine;

impl Distance<Vector> for Cosine {
    fn eval(&self, a: &[Vector], b: &[Vector]) -> f32 {
        match (a, b) {
            // Never below 0, which the crate would panic at.
            ([a], [b]) => (1.0 - a.similarity(b)).max(0.0),
            _ => f32::MAX,
        }
    }
}

impl Graph {
    pub(crate) fn new(points: usize) -> Self {
        Self(Hnsw::new(LINKS, points, LAYERS, EF_CONSTRUCTION, Cosine))
    }

    pub(crate) fn insert(&self, place: usize, vector: &Vector) {
        self.0.insert((std::slice::from_ref(vector), place));
    }

    /// The places of about the nearest, the nearest first.
    pub(crate) fn search(&self, query: &Vector, count: usize) -> Vec<usize> {
        let near = self.0.search(std::slice::from_ref(query), count, EF_SEARCH.max(2 * count));
        near.into_iter().map(|neighbour| neighbour.d_id).collect()
    }
}
