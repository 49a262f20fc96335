//! Nodes that are to be given no more, which outlives the gateway's process.

use std::collections::BTreeSet;

use starling_protocol::swarm::PeerId;

use super::{Store, StoreError, rows};
use crate::clock::Timestamp;

impl Store {
    /// All of them.
    pub async fn drained_nodes(&self) -> Result<BTreeSet<PeerId>, StoreError> {
        let peers: Vec<String> = sqlx::query_scalar("SELECT peer FROM drained_nodes").fetch_all(&self.readers).await?;
        let peers: Result<_, _> = peers.iter().map(|peer| rows::parse("peer", peer)).collect();
        Ok(peers?)
    }

    /// Adds one, or takes it away; whether that changed anything.
    pub async fn drain_node(&self, peer: PeerId, drained: bool) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM drained_nodes WHERE peer = ?")
            .bind(peer.to_string())
            .fetch_one(&mut *write)
            .await?;
        if (there == 1) == drained {
            return Ok(false);
        }
        let change = if drained {
            sqlx::query("INSERT INTO drained_nodes (peer, since) VALUES (?, ?)")
                .bind(peer.to_string())
                .bind(Timestamp::now().0)
        } else {
            sqlx::query("DELETE FROM drained_nodes WHERE peer = ?").bind(peer.to_string())
        };
        change.execute(&mut *write).await?;
        write.commit().await?;
        Ok(true)
    }
}
