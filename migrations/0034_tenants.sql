-- The people of a tenant are counted where tenants are listed, and looked for before one is removed.
CREATE INDEX users_by_tenant ON users (tenant_id);
