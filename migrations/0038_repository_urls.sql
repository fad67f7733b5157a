-- What a push names is compared with what is left of a repository's URL when its form does not count (`normalized_url` in
-- host/src/domain/repository.rs). Empty until a server that knows the column has written or tidied the row.
ALTER TABLE git_repositories ADD COLUMN url_key TEXT NOT NULL DEFAULT '';
CREATE INDEX git_repositories_by_url ON git_repositories (provider, url_key);
