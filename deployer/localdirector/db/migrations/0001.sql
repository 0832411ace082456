CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE deployments (
	name TEXT PRIMARY KEY,
	manifest TEXT NOT NULL DEFAULT '',
	resolved_manifest TEXT NOT NULL DEFAULT '',
	cloud_config_ids TEXT NOT NULL DEFAULT '[]',
	releases TEXT NOT NULL DEFAULT '[]',
	stemcells TEXT NOT NULL DEFAULT '[]',
	links TEXT NOT NULL DEFAULT 'null'
);
CREATE TABLE instances (
	id TEXT PRIMARY KEY,
	deployment TEXT NOT NULL REFERENCES deployments (name) ON DELETE CASCADE,
	"group" TEXT NOT NULL,
	idx INTEGER NOT NULL,
	az TEXT NOT NULL,
	state TEXT NOT NULL,
	lifecycle TEXT NOT NULL,
	bootstrap INTEGER NOT NULL,
	ignored INTEGER NOT NULL,
	resurrection_paused INTEGER NOT NULL,
	update_completed INTEGER NOT NULL,
	ips TEXT NOT NULL,
	networks TEXT NOT NULL,
	spec TEXT NOT NULL,
	vm_cid TEXT UNIQUE,
	agent_id TEXT NOT NULL,
	vm_created_at INTEGER,
	stemcell_name TEXT NOT NULL,
	stemcell_version TEXT NOT NULL,
	vm_type TEXT NOT NULL
);
CREATE INDEX instances_by_deployment ON instances (deployment);
CREATE TABLE disks (
	cid TEXT PRIMARY KEY,
	instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	size_mib INTEGER NOT NULL,
	active INTEGER NOT NULL,
	cloud_properties TEXT NOT NULL
);
CREATE INDEX disks_by_instance ON disks (instance_id);
CREATE TABLE orphan_disks (
	cid TEXT PRIMARY KEY,
	size_mib INTEGER NOT NULL,
	deployment TEXT NOT NULL,
	instance TEXT NOT NULL,
	az TEXT NOT NULL,
	cloud_properties TEXT NOT NULL,
	orphaned_at INTEGER
);
CREATE TABLE errands (
	deployment TEXT NOT NULL REFERENCES deployments (name) ON DELETE CASCADE,
	name TEXT NOT NULL,
	state TEXT NOT NULL,
	PRIMARY KEY (deployment, name)
);
CREATE TABLE tasks (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	state TEXT NOT NULL,
	type TEXT NOT NULL,
	description TEXT NOT NULL,
	deployment TEXT NOT NULL,
	context_id TEXT NOT NULL,
	user TEXT NOT NULL,
	started_at INTEGER,
	finished_at INTEGER,
	result TEXT NOT NULL
);
CREATE INDEX tasks_by_state ON tasks (state);
CREATE INDEX tasks_by_context ON tasks (context_id) WHERE context_id != '';
CREATE INDEX tasks_by_deployment ON tasks (deployment);
CREATE TABLE configs (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	content TEXT NOT NULL,
	created_at INTEGER,
	deleted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX configs_by_name ON configs (type, name);
CREATE TABLE releases (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	version TEXT NOT NULL,
	content TEXT NOT NULL,
	UNIQUE (name, version)
);
CREATE TABLE release_packages (
	release TEXT NOT NULL, version TEXT NOT NULL, name TEXT NOT NULL,
	fingerprint TEXT NOT NULL, content TEXT NOT NULL,
	PRIMARY KEY (release, version, name)
);
CREATE INDEX release_packages_by_fingerprint ON release_packages (fingerprint);
CREATE TABLE stemcells (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL, os TEXT NOT NULL, version TEXT NOT NULL,
	cid TEXT NOT NULL, api_version INTEGER NOT NULL, digest TEXT NOT NULL, cloud_properties TEXT NOT NULL,
	UNIQUE (name, version)
);
CREATE TABLE variables (
	name TEXT PRIMARY KEY,
	id TEXT NOT NULL,
	deployment TEXT NOT NULL,
	type TEXT NOT NULL,
	options TEXT NOT NULL,
	value TEXT NOT NULL
);
CREATE INDEX variables_by_deployment ON variables (deployment);
CREATE TABLE events (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	parent_id INTEGER NOT NULL,
	time INTEGER NOT NULL,
	user TEXT NOT NULL,
	action TEXT NOT NULL,
	object_type TEXT NOT NULL,
	object_name TEXT NOT NULL,
	error TEXT NOT NULL,
	task TEXT NOT NULL,
	deployment TEXT NOT NULL,
	instance TEXT NOT NULL,
	context TEXT NOT NULL
);
CREATE INDEX events_by_task ON events (task);
CREATE INDEX events_by_deployment ON events (deployment);
