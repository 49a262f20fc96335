-- Sessions anew: each has a run of refresh tokens, one after another. The table `sessions` is the release before's, which
-- may still run beside this one; a later release drops it.
CREATE TABLE user_sessions (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    -- The browser in two or three words, and the network it came from: so that its owner knows it again.
    agent        TEXT    NOT NULL,
    network      TEXT    NOT NULL
) STRICT;
CREATE INDEX user_sessions_of_user ON user_sessions (user_id, created_at);
CREATE INDEX user_sessions_by_end ON user_sessions (expires_at);

-- Used ones stay a while: who shows one again has stolen it, or was stolen from.
CREATE TABLE refresh_tokens (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    session_id TEXT    NOT NULL REFERENCES user_sessions (id) ON DELETE CASCADE,
    used_at    INTEGER
) STRICT;
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id, used_at);

-- A worker is a user who owns nodes too. A column of its own, since the release before knows two roles.
ALTER TABLE users ADD COLUMN worker INTEGER NOT NULL DEFAULT 0 CHECK (worker IN (0, 1));
ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1));
