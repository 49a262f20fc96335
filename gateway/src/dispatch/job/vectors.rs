//! The end of an attempt at texts to embed: all vectors, or none. Whoever asked has seen nothing until they are all
//! here, so that another node can begin anew.

use starling_protocol::message::{Done, JobEvent};

use super::{
    Trouble,
    attempt::FIRST_TOKEN_TIMEOUT,
    broken, failed,
    link::{Heard, Link},
};

/// Reads `count` vectors of `dimensions` numbers, in order, and the end.
pub(super) async fn read(link: &mut Link, count: usize, dimensions: u32) -> Result<(Vec<Vec<f32>>, Done), Trouble> {
    let mut vectors = Vec::with_capacity(count);
    loop {
        // Long texts of others may be computed between two of ours.
        // Nobody is shown the path of what is not shown before it is whole.
        let Heard::Event(event) = link.next(FIRST_TOKEN_TIMEOUT).await? else { continue };
        match event {
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
