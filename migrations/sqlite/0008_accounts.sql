-- Invitations of people. An invitation's secret has 256 random bits; its SHA-256 is stored.
CREATE TABLE invitations (
    id          TEXT    NOT NULL PRIMARY KEY,
    secret_hash BLOB    NOT NULL UNIQUE,
    label       TEXT    NOT NULL,
    role        TEXT    NOT NULL CHECK (role IN ('user', 'worker', 'admin')),
    max_uses    INTEGER NOT NULL CHECK (max_uses > 0),
    uses        INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND max_uses),
    created_by  TEXT    REFERENCES users (id) ON DELETE CASCADE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX invitations_by_end ON invitations (expires_at);

-- Whose node it is: who has made the invite that it came in with. The invite itself is forgotten one day.
ALTER TABLE members ADD COLUMN owner_id TEXT REFERENCES users (id) ON DELETE SET NULL;
UPDATE members SET owner_id = (SELECT created_by FROM invites WHERE invites.id = members.invite_id);
CREATE INDEX members_of_owner ON members (owner_id);

-- Of tokens of models; 0 is no bound.
ALTER TABLE users ADD COLUMN tokens_per_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN tokens_per_day INTEGER NOT NULL DEFAULT 0;
-- Words with commas between them.
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT 'chat,embeddings,models';

-- What was computed for whom on which day (days since 1970, UTC), asked and answered. Without a key, in the chat: ''.
CREATE TABLE token_usage (
    user_id TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_id  TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    tokens  INTEGER NOT NULL,
    PRIMARY KEY (user_id, key_id, day)
) STRICT;
