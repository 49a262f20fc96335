//! The nearest of many vectors, in memory: by looking at every one of them while they are few, through a graph (HNSW)
//! when they are many.
//!
//! A crate of its own so that it is optimised in every profile. It knows no database, user or thread: whoever has an
//! [`Index`] fills it, and builds its graph when [`Index::needs_graph`] says so. Nothing is ever read from a file.
#![deny(missing_docs)]

mod graph;
mod vector;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use graph::Graph;
pub use vector::Vector;

/// What a vector is known by.
pub type Key = u128;

/// With fewer vectors than this every one is looked at: that is exact, needs no graph in memory, and takes less than
/// three milliseconds at 384 dimensions.
pub const GRAPH_FROM: usize = 20_000;
/// Of the rows, one in so many may be dead before they are dropped.
const DEAD: usize = 5;
/// What a row takes beside its numbers, in bytes: itself, its place in the map, and what the allocator adds.
const ROW_BYTES: usize = 144;

/// A vector that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which.
    pub key: Key,
    /// The cosine of the angle to what was looked for: 1 is the same direction.
    pub similarity: f32,
}

/// Vectors of one length, by key.
pub struct Index {
    dimensions: usize,
    rows: Vec<Row>,
    /// Where each live one is.
    places: HashMap<Key, usize>,
    /// Of all rows, dead ones too.
    graph: Option<Graph>,
}

#[derive(Clone)]
struct Row {
    key: Key,
    vector: Vector,
    /// A dead one still leads the way in the graph, and is never found.
    live: bool,
}

/// A graph that is being built, aside from the index that it is for.
pub struct Building {
    rows: Vec<Row>,
    graph: Graph,
    done: usize,
}

impl Index {
    /// An empty one, for vectors of so many numbers.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions, rows: vec![], places: HashMap::new(), graph: None }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether it searches through a graph.
    #[must_use]
    pub fn has_graph(&self) -> bool {
        self.graph.is_some()
    }

    /// What it takes, in bytes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let graph = if self.has_graph() { self.rows.len() * graph::POINT_BYTES } else { 0 };
        self.rows.len() * Self::row_bytes(self.dimensions) + graph
    }

    /// What it will take with a graph, in bytes, about.
    #[must_use]
    pub fn bytes_with_graph(&self) -> usize {
        self.len() * (Self::row_bytes(self.dimensions) + graph::POINT_BYTES)
    }

    /// What one more vector takes without a graph, in bytes, about.
    #[must_use]
    pub fn row_bytes(dimensions: usize) -> usize {
        dimensions * size_of::<i16>() + ROW_BYTES
    }

    /// Takes a vector in, in place of what had its key. False when it has another length than the others.
    pub fn insert(&mut self, key: Key, vector: Vector) -> bool {
        if vector.dimensions() != self.dimensions {
            return false;
        }
        self.remove(key);
        let place = self.rows.len();
        if let Some(graph) = &self.graph {
            graph.insert(place, &vector);
        }
        self.rows.push(Row { key, vector, live: true });
        self.places.insert(key, place);
        true
    }

    /// Forgets a vector; false when there is none of that key.
    pub fn remove(&mut self, key: Key) -> bool {
        let Some(place) = self.places.remove(&key) else { return false };
        self.rows[place].live = false;
        if self.graph.is_none() && self.has_many_dead() {
            self.compact();
        }
        true
    }

    /// The `count` nearest to `query`, the nearest first. Exact without a graph.
    #[must_use]
    pub fn search(&self, query: &Vector, count: usize) -> Vec<Hit> {
        if query.dimensions() != self.dimensions {
            return vec![];
        }
        let Some(graph) = &self.graph else { return self.exact(query, count) };
        let near = graph.search(query, count + count / DEAD + 1);
        let live = near.into_iter().filter_map(|place| self.rows.get(place).filter(|row| row.live));
        let mut hits: Vec<Hit> = live.map(|row| row.hit(query)).collect();
        hits.truncate(count);
        // The dead around it have taken all places: rare, and then worth a look at everything.
        if hits.len() < count.min(self.len()) { self.exact(query, count) } else { hits }
    }

    /// The same, by looking at every one of them.
    #[must_use]
    pub fn exact(&self, query: &Vector, count: usize) -> Vec<Hit> {
        let mut best = BinaryHeap::with_capacity(count + 1);
        for (place, row) in self.rows.iter().enumerate().filter(|(_, row)| row.live) {
            let dot = query.dot(&row.vector);
            if best.len() < count || best.peek().is_some_and(|Reverse((worst, _))| dot > *worst) {
                best.push(Reverse((dot, place)));
            }
            if best.len() > count {
                best.pop();
            }
        }
        best.into_sorted_vec().into_iter().map(|Reverse((_, place))| self.rows[place].hit(query)).collect()
    }

    /// Whether it would search better with another graph than it has.
    #[must_use]
    pub fn needs_graph(&self) -> bool {
        self.len() >= GRAPH_FROM && (self.graph.is_none() || self.has_many_dead())
    }

    /// Begins a graph of what is live now. It shares the vectors with this index, which may change meanwhile.
    #[must_use]
    pub fn begin_graph(&self) -> Building {
        let rows: Vec<Row> = self.rows.iter().filter(|row| row.live).cloned().collect();
        Building { graph: Graph::new(rows.len()), rows, done: 0 }
    }

    /// Takes a finished graph, and brings it up to date with what has changed since it was begun.
    pub fn adopt(&mut self, built: Building) {
        let old = std::mem::replace(&mut self.rows, built.rows);
        let mut before = std::mem::take(&mut self.places);
        self.graph = Some(built.graph);
        for (place, row) in self.rows.iter_mut().enumerate() {
            let same = before.get(&row.key).is_some_and(|at| old[*at].vector.is_same(&row.vector));
            row.live = same;
            if same {
                before.remove(&row.key);
                self.places.insert(row.key, place);
            }
        }
        let mut new: Vec<usize> = before.into_values().collect();
        new.sort_unstable();
        for place in new {
            let Row { key, vector, .. } = old[place].clone();
            self.insert(key, vector);
        }
    }

    /// Goes back to looking at every one, which takes less memory.
    pub fn drop_graph(&mut self) {
        self.graph = None;
        self.compact();
    }

    fn has_many_dead(&self) -> bool {
        (self.rows.len() - self.len()) * DEAD > self.rows.len()
    }

    fn compact(&mut self) {
        self.rows.retain(|row| row.live);
        self.places = self.rows.iter().enumerate().map(|(place, row)| (row.key, place)).collect();
    }
}

impl Building {
    /// Takes so many more of the vectors in; true when all are.
    pub fn step(&mut self, count: usize) -> bool {
        let end = self.rows.len().min(self.done + count);
        for place in self.done..end {
            self.graph.insert(place, &self.rows[place].vector);
        }
        self.done = end;
        end == self.rows.len()
    }
}

impl Row {
    fn hit(&self, query: &Vector) -> Hit {
        Hit { key: self.key, similarity: query.similarity(&self.vector) }
    }
}

#[cfg(test)]
mod tests;
