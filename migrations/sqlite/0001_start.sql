-- Accounts, sessions, API keys, conversations and their messages.
-- Ids are UUIDv7 as text, times are milliseconds since 1970, secrets are SHA-256 digests.

CREATE TABLE users (
    id            TEXT    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('user', 'admin')),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE api_keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    label        TEXT    NOT NULL,
    secret_hash  BLOB    NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
CREATE INDEX api_keys_of_user ON api_keys (user_id);

CREATE TABLE conversations (
    id         TEXT    NOT NULL PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_of_user ON conversations (user_id, updated_at, id);

-- An answer's row is there, 'running', from the moment its question is accepted: a restart finds it.
CREATE TABLE messages (
    id                TEXT    NOT NULL PRIMARY KEY,
    conversation_id   TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position          INTEGER NOT NULL,
    role              TEXT    NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
    text              TEXT    NOT NULL,
    status            TEXT    NOT NULL CHECK (status IN ('running', 'complete', 'partial', 'failed')),
    error_code        TEXT,
    error_message     TEXT,
    created_at        INTEGER NOT NULL,
    node_name         TEXT,
    node_peer         TEXT,
    model             TEXT,
    finish_reason     TEXT    CHECK (finish_reason IN ('stop', 'length', 'cancelled', 'error')),
    prompt_tokens     INTEGER,
    completion_tokens INTEGER,
    first_token_ms    REAL,
    tokens_per_second REAL,
    UNIQUE (conversation_id, position)
) STRICT;
CREATE INDEX messages_running ON messages (id) WHERE status = 'running';
