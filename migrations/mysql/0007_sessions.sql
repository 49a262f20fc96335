-- Sessions anew: each has a run of refresh tokens, one after another. The table `sessions` is the release before's.

CREATE TABLE user_sessions (
    id           VARCHAR(36)  NOT NULL PRIMARY KEY,
    user_id      VARCHAR(36)  NOT NULL,
    created_at   BIGINT       NOT NULL,
    last_used_at BIGINT       NOT NULL,
    expires_at   BIGINT       NOT NULL,
    agent        VARCHAR(191) NOT NULL,
    network      VARCHAR(191) NOT NULL,
    INDEX user_sessions_of_user (user_id, created_at),
    INDEX user_sessions_by_end (expires_at),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE refresh_tokens (
    token_hash VARBINARY(32) NOT NULL PRIMARY KEY,
    session_id VARCHAR(36)   NOT NULL,
    used_at    BIGINT,
    INDEX refresh_tokens_of_session (session_id, used_at),
    FOREIGN KEY (session_id) REFERENCES user_sessions (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE users ADD COLUMN worker SMALLINT NOT NULL DEFAULT 0 CHECK (worker IN (0, 1));
ALTER TABLE users ADD COLUMN disabled SMALLINT NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1));
