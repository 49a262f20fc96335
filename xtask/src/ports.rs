//! Ports for servers that are told where to listen.

use std::net::TcpListener;

use anyhow::Result;

/// Free at this moment: those who use it have no way to say which port they took.
pub(crate) fn free() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
