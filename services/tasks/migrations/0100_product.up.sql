-- Why: what work items are numbered in. The counter stands in the product's row: taking a number locks the row until the commit, so that
-- numbers have no gaps and no two items have one. Expand step; locks nothing that exists.
CREATE TABLE :schema.product (
    organization_id uuid        NOT NULL,
    workspace_id    uuid        NOT NULL,
    product_id      uuid        NOT NULL,
    key             text        NOT NULL CHECK (key ~ '^[A-Z][A-Z0-9]{1,9}$'),
    display_name    text        NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 200),
    next_number     bigint      NOT NULL DEFAULT 1 CHECK (next_number > 0),
    version         bigint      NOT NULL DEFAULT 1,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, product_id),
    UNIQUE (organization_id, workspace_id, key),
    -- An item refers to its product with its workspace, so that it can't stand in another one.
    UNIQUE (organization_id, workspace_id, product_id)
) WITH (fillfactor = 50);  -- room for the next version of a row on its page: the counter is updated with every item, in place
CREATE INDEX product_create_time_idx ON :schema.product (organization_id, workspace_id, create_time, product_id);
SELECT :schema.mark_workspace('product', 'a product belongs to one workspace', verbs => 'SELECT, INSERT');
GRANT UPDATE (next_number) ON :schema.product TO :schema_app;
