-- Tokens of models in a calendar month (UTC), in place of the days that no release has counted. Of a person NULL is what
-- the gateway says for all; 0 is no bound.
ALTER TABLE users DROP COLUMN tokens_per_day;
ALTER TABLE users ADD COLUMN tokens_per_month BIGINT;
ALTER TABLE api_keys DROP COLUMN tokens_per_day;
ALTER TABLE api_keys ADD COLUMN tokens_per_month BIGINT NOT NULL DEFAULT 0;
-- An administrator's key has read the figures so far.
UPDATE api_keys SET scopes = 'chat,embeddings,models,metrics';

-- What answers that run now may come to, held against the budgets of who has asked. Its end counts an answer once: who
-- takes its row away.
CREATE TABLE token_holds (
    -- Of an answer in the chat, that answer's.
    id      VARCHAR(36)  NOT NULL PRIMARY KEY,
    user_id VARCHAR(36)  NOT NULL,
    -- Without a key, in the chat: ''.
    key_id  VARCHAR(36)  NOT NULL,
    prompt  BIGINT       NOT NULL,
    answer  BIGINT       NOT NULL,
    -- Tokens of the answer that were counted when it was cut short.
    counted BIGINT       NOT NULL,
    owner   VARCHAR(191) NOT NULL,
    made_at BIGINT       NOT NULL,
    INDEX token_holds_of_user (user_id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
