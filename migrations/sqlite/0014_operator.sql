-- What administrators have done, newest last: who, what, to whom. Names as they were then, for accounts go and what
-- they did stays.
CREATE TABLE audit (
    id         TEXT    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    from_addr  TEXT    NOT NULL
) STRICT;

-- Nodes that are given no more answers until an administrator says so.
CREATE TABLE drained_nodes (
    peer       TEXT    NOT NULL PRIMARY KEY,
    since      INTEGER NOT NULL
) STRICT;
