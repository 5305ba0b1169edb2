//! What stands below each `--help`: examples to copy.

pub const EXAMPLES: &str = "\
Examples:
  gatewright demo                              try it, without keeping anything
  gatewright serve                             a server; data in ./gatewright-data
  gatewright user create --email ann@example.com
  gatewright pack install chat                 a pack into the database, live at once

`gatewright COMMAND --help` has the options and examples of each command.
Exit status: 0 done, 1 refused or failed, 2 not understood.";

pub const SERVE_EXAMPLES: &str = "\
Examples:
  gatewright serve
  gatewright serve --listen localhost:8080 --data /var/lib/gatewright
  gatewright serve --database-url postgres://gatewright@db.example/gatewright
  gatewright serve --pack chat --watch ./packs

Environment:
  GATEWRIGHT_ADMIN_EMAIL, GATEWRIGHT_ADMIN_PASSWORD   the first admin, where there is none yet
  GATEWRIGHT_LIMITS__BURST=500                        any setting, with __ for a dot

Exit status: 0 after a stop, 1 when it cannot start, 130 after a second signal.";

pub const DEMO_EXAMPLES: &str = "\
Examples:
  gatewright demo                              then open http://127.0.0.1:4000/demo/chat twice
  gatewright demo --listen localhost:0         on any free port, which it prints";

pub const CHECK_EXAMPLES: &str = "\
Examples:
  gatewright check scripts/                    every pack in a folder
  gatewright check mine/events/greet.rhai      one script; it may name any table

Exit status: 0 when all is right, 1 otherwise.";

pub const TEST_EXAMPLES: &str = "\
Examples:
  gatewright test scripts/                     the tests of every pack in a folder
  gatewright test scripts/chat

Exit status: 0 when there are tests and all pass, 1 otherwise.";

pub const PACK_EXAMPLES: &str = "\
Examples:
  gatewright pack list
  gatewright pack diff ./mine
  gatewright pack install ./mine --dry-run";

pub const PACK_LIST_EXAMPLES: &str = "\
Example:
  gatewright pack list --data /var/lib/gatewright";

pub const PACK_INSTALL_EXAMPLES: &str = "\
Examples:
  gatewright pack install chat --dry-run       say what would change: + new, ~ changed, - gone, ! refused
  gatewright pack install chat
  gatewright pack install chat --mount /app    its gateway /chat becomes /app/chat, also when it is installed again
  gatewright pack install ./mine --force       also what an admin has edited since";

pub const PACK_UNINSTALL_EXAMPLES: &str = "\
Example:
  gatewright pack uninstall chat";

pub const PACK_DIFF_EXAMPLES: &str = "\
Examples:
  gatewright pack diff ./mine                  + new, ~ changed, - gone, and the lines that differ
  gatewright pack diff ./mine --exit-code      for scripts: 0 when nothing would change, else 1";

pub const PACK_EXPORT_EXAMPLES: &str = "\
Examples:
  gatewright pack export chat ./chat-as-it-is  with what admins have edited since
  gatewright pack export mine ./mine --gateway /hello --gateway /news";

pub const USER_EXAMPLES: &str = "\
Examples:
  gatewright user create --email ann@example.com --role admin
  gatewright user list";

pub const USER_CREATE_EXAMPLES: &str = "\
Examples:
  gatewright user create --email ann@example.com
  gatewright user create --email bob@example.com --role admin --name Bob";

pub const USER_PASSWD_EXAMPLES: &str = "\
Example:
  gatewright user passwd --email admin@localhost";

pub const USER_LIST_EXAMPLES: &str = "\
Example:
  gatewright user list | grep admin";

pub const TOKEN_EXAMPLES: &str = "\
Example:
  TOKEN=$(gatewright token --user admin@localhost --ttl 12h)
  curl http://127.0.0.1:4000/admin/gateways -H \"authorization: Bearer $TOKEN\"

Who can read the data folder can sign in as anybody: keep it to yourself.";

pub const APP_KEY_EXAMPLES: &str = "\
Examples:
  gatewright app-key create --name ci --scope socket:read
  gatewright app-key list";

pub const APP_KEY_CREATE_EXAMPLES: &str = "\
Examples:
  gatewright app-key create --name ci --scope socket:read --expires 30d
  gatewright app-key create --name shop --scope data:read --scope data:write --scope routes

Scopes:
  socket:read        channels, members and connections; GET /metrics
  socket:broadcast   messages to channels and users
  data:read          rows of tables
  data:write         changes of rows
  routes             routes whose access is app";

pub const APP_KEY_LIST_EXAMPLES: &str = "\
Example:
  gatewright app-key list";

pub const APP_KEY_DELETE_EXAMPLES: &str = "\
Example:
  gatewright app-key delete 01890a5d-ac96-774b-bcce-b302099a8057";

pub const JOBS_EXAMPLES: &str = "\
Examples:
  gatewright jobs list --state dead            what was given up
  gatewright jobs retry --state dead --event placeOrder

They work on the data itself, also while a server runs on it: it takes over what changes within a moment.";

pub const JOBS_LIST_EXAMPLES: &str = "\
Examples:
  gatewright jobs list                         the newest 50
  gatewright jobs list --state dead --gateway /shop
  gatewright jobs list --q order-17 --json     with payloads, attempts and errors

States:
  waiting      for its turn
  scheduled    for its time
  running      at this moment
  retrying     waits for another attempt
  done         its handler ran to its end
  failed       its handler refused it, by @THROW or throw
  dead         given up: after its last attempt, or because only a mended script would end well
  discarded    taken out by an admin";

pub const JOBS_RETRY_EXAMPLES: &str = "\
Examples:
  gatewright jobs retry 01890a5d-ac96-774b-bcce-b302099a8057
  gatewright jobs retry --state dead --event placeOrder
  gatewright jobs retry --all                  all that failed, were given up or wait for another attempt

Exit status: 0 when done, also where nothing matches; 1 where ids are given and none can be retried.";

pub const JOBS_DISCARD_EXAMPLES: &str = "\
Examples:
  gatewright jobs discard 01890a5d-ac96-774b-bcce-b302099a8057
  gatewright jobs discard --state scheduled --event remind
  gatewright jobs discard --gateway /old       all of a gateway that have not ended well

One that runs at this moment is undone. Exit status: as `jobs retry`.";

pub const CONFIG_EXAMPLES: &str = "\
Examples:
  gatewright config                            every setting, its value and where it came from
  gatewright config --config prod.toml | grep limits
  GATEWRIGHT_LIMITS__BURST=500 gatewright config";

pub const TYPES_EXAMPLES: &str = "\
Examples:
  gatewright types --out src/gatewright.ts             from the database
  gatewright types --out src/gatewright.ts --check     in CI
  gatewright types --url https://gateway.example --token \"$TOKEN\" --gateway /chat

Payloads have the types of their payloadSchema, results of resultSchema; what has no schema is unknown. With the npm
package gatewright: createRealtime<Gateways>(url).gateway(\"/chat\").call(…) is checked.

Exit status: 0 done or current, 1 not current or failed.";

pub const MIGRATE_EXAMPLES: &str = "\
Examples:
  gatewright migrate
  gatewright migrate --database-url postgres://gatewright@db.example/gatewright

A start does the same by itself.";

pub const BACKUP_EXAMPLES: &str = "\
Example:
  gatewright backup backups/$(date +%F).db

To restore, stop the server and put the copy in the place of gatewright.db in the data folder.
The copy has password hashes in it. For PostgreSQL, use pg_dump.";

pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  gatewright completions bash > ~/.local/share/bash-completion/completions/gatewright
  gatewright completions zsh > ~/.zfunc/_gatewright
  gatewright completions fish > ~/.config/fish/completions/gatewright.fish";
