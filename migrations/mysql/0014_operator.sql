-- What administrators have done, newest last: who, what, to whom. Names as they were then, for accounts go and what
-- they did stays.
CREATE TABLE audit (
    id         VARCHAR(36) NOT NULL PRIMARY KEY,
    at         BIGINT      NOT NULL,
    actor      TEXT        NOT NULL,
    action     TEXT        NOT NULL,
    target     TEXT        NOT NULL,
    from_addr  TEXT        NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Nodes that are given no more answers until an administrator says so.
CREATE TABLE drained_nodes (
    peer       VARCHAR(191) NOT NULL PRIMARY KEY,
    since      BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
