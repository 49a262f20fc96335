//! `cargo xtask dist`: what people download, made from this checkout.

#[cfg_attr(not(test), expect(dead_code, reason = "its command follows"))]
pub(crate) mod manifest;
