-- Invites and those who came in with them. An invite's secret has 128 random bits; its SHA-256 is stored.

CREATE TABLE invites (
    id          TEXT    NOT NULL PRIMARY KEY,
    secret_hash BLOB    NOT NULL UNIQUE,
    label       TEXT    NOT NULL,
    role        TEXT    NOT NULL CHECK (role IN ('node', 'gateway')),
    max_uses    INTEGER NOT NULL CHECK (max_uses > 0),
    uses        INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND max_uses),
    -- Shown on the console at a start; the next start takes it back.
    printed     INTEGER NOT NULL CHECK (printed IN (0, 1)),
    created_by  TEXT    REFERENCES users (id) ON DELETE SET NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;
CREATE INDEX invites_by_end ON invites (expires_at);

CREATE TABLE members (
    peer       TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL CHECK (role IN ('node', 'gateway')),
    invite_id  TEXT    REFERENCES invites (id) ON DELETE SET NULL,
    joined_at  INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX members_of_invite ON members (invite_id);

-- One row: where the gateway was when it last ran, for invites that are made beside it. Addresses are lines.
CREATE TABLE gateway_addresses (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    peer      TEXT    NOT NULL,
    swarm     TEXT    NOT NULL,
    addresses TEXT    NOT NULL
) STRICT;
