-- Tokens of models in a calendar month (UTC), in place of the days that no release has counted. Of a person NULL is what
-- the gateway says for all; 0 is no bound.
ALTER TABLE users DROP COLUMN tokens_per_day;
ALTER TABLE users ADD COLUMN tokens_per_month INTEGER CHECK (tokens_per_month >= 0);
ALTER TABLE api_keys DROP COLUMN tokens_per_day;
ALTER TABLE api_keys ADD COLUMN tokens_per_month INTEGER NOT NULL DEFAULT 0 CHECK (tokens_per_month >= 0);
-- An administrator's key has read the figures so far.
UPDATE api_keys SET scopes = 'chat,embeddings,models,metrics';

-- What answers that run now may come to, held against the budgets of who has asked. Its end counts an answer once: who
-- takes its row away.
CREATE TABLE token_holds (
    -- Of an answer in the chat, that answer's.
    id      TEXT    NOT NULL PRIMARY KEY,
    user_id TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Without a key, in the chat: ''.
    key_id  TEXT    NOT NULL,
    prompt  INTEGER NOT NULL,
    answer  INTEGER NOT NULL,
    -- Tokens of the answer that were counted when it was cut short.
    counted INTEGER NOT NULL,
    owner   TEXT    NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX token_holds_of_user ON token_holds (user_id);
