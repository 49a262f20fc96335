//! The end of an attempt at texts to embed: all vectors, or none. Whoever asked has seen nothing until they are all
//! here, so that another node can begin anew.

use starling_protocol::{
    message::{Done, JobEvent},
    swarm::Stream,
};

use super::{FIRST_TOKEN_TIMEOUT, Trouble, broken, failed, next};

/// Reads `count` vectors of `dimensions` numbers, in order, and the end.
pub(super) async fn read(stream: &mut Stream, count: usize, dimensions: u32) -> Result<(Vec<Vec<f32>>, Done), Trouble> {
    let mut vectors = Vec::with_capacity(count);
    loop {
        // Long texts of others may be computed between two of ours.
        match next(stream, FIRST_TOKEN_TIMEOUT).await? {
            JobEvent::Vector(vector) if vector.index as usize == vectors.len() && vectors.len() < count => {
                let values = vector.floats().filter(|values| values.len() == dimensions as usize);
                vectors.push(values.ok_or_else(broken)?);
            }
            JobEvent::Done(done) if vectors.len() == count => return Ok((vectors, done)),
            JobEvent::Failed(failure) => return Err(failed(failure)),
            _ => return Err(broken()),
        }
    }
}
