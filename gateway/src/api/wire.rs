//! The JSON that the gateway and its web page exchange: a file for each resource, whole bodies beside their parts.
//!
//! These types are for the wire only; the page's TypeScript is made of them (`ui/src/wire/index.ts`).
//! None that carries what people say, or a secret, has a `Debug`.

mod characters;
mod conversations;
pub mod convert;
mod error;
mod export;
mod figures;
pub mod frames;
mod keys;
mod members;
mod memories;
mod messages;
mod models;
mod operator;
mod people;
mod swarm;
pub mod topology;
mod users;

pub use characters::*;
pub use conversations::*;
pub use error::*;
pub use figures::*;
pub use keys::*;
pub use members::*;
pub use memories::*;
pub use messages::*;
pub use models::*;
pub use operator::*;
pub use people::*;
pub use swarm::*;
pub use users::*;
