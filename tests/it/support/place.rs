//! Commands of the binary, each run in a folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use tempfile::TempDir;

use super::database::Data;
use super::server::{PATIENCE, Server, gatewright};

/// What a finished command said.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    pub fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What a command says on standard error, whatever its output is.
    pub fn of_errors(mut command: Command) -> Self {
        let done = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        Self { code: done.status.code(), out: String::new(), err }
    }

    /// Both streams: where a message goes is not what these tests are about.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    pub fn check(&self, code: i32, mentions: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        for word in mentions {
            assert!(self.all().contains(word), "{word:?} is not in\n{}", self.all());
        }
        self
    }
}

/// A folder to run commands in, so that no gatewright.toml of elsewhere counts.
pub struct Place(pub TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One whose commands use the database of a server that runs; its folder is [`data_of`].
    pub fn beside(server: &Server) -> Self {
        let place = Self::new();
        place.write("gatewright.toml", &format!("database_url = {:?}\n", server.data.database_url()));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A pack `small` with one gateway and one event, `e`.
    pub fn small_pack(&self, folder: &str, script: &str) {
        let manifest = "name = \"small\"\ndescription = \"a small one\"\n\
            [[gateways]]\npath = \"/small\"\nrequireAuth = false\n\
            [[gateways.events]]\nname = \"e\"\nscript = \"e.rhai\"\n";
        self.write(&format!("{folder}/pack.toml"), manifest);
        self.write(&format!("{folder}/e.rhai"), script);
    }

    pub fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = gatewright();
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.envs(env.iter().map(|(name, value)| (format!("GATEWRIGHT_{name}"), *value)));
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, &[])
    }

    pub fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        Done::of(self.command(args, env))
    }

    /// A command on this data.
    pub fn run_on(&self, data: &Data, args: &[&str]) -> Done {
        let mut command = self.command(args, &[]);
        data.give_to(&mut command);
        Done::of(command)
    }

    /// `serve` that is expected to end by itself; one that does start is an error, not a hang.
    pub fn fails_to_serve(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        let mut all = vec!["serve"];
        all.extend(args);
        let mut running = Running::spawn(self.command(&all, env));
        let mut out = String::new();
        while let Ok(line) = running.lines.recv_timeout(PATIENCE) {
            assert!(!line.contains("listens on"), "{args:?} {env:?} starts: {line}");
            out.push_str(&line);
        }
        let code = running.child.wait().unwrap().code();
        Done { code, out, err: running.errors() }
    }
}

/// A server that [`Server`] cannot start, because of its flags.
pub struct Running {
    pub child: Child,
    pub lines: mpsc::Receiver<String>,
    errors: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut pipe = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        });
        Self { child, lines, errors: Some(errors) }
    }

    /// The lines up to the one that matches, and the address in the line of the start.
    pub fn until(&self, matches: impl Fn(&str) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            seen.push(line.unwrap_or_else(|error| panic!("{error} after {seen:?}")));
            if matches(seen.last().unwrap()) {
                return seen;
            }
        }
    }

    pub fn started(&self) -> (Vec<String>, String) {
        let lines = self.until(|line| line.contains("listens on "));
        let line = lines.last().unwrap();
        let url = &line[line.find("http://").unwrap()..];
        let url = url.split([',', ' ']).next().unwrap().to_owned();
        (lines, url)
    }

    pub fn stop(&mut self) -> (Option<i32>, String) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
        (self.child.wait().unwrap().code(), self.errors())
    }

    /// All of its standard error, once it has ended.
    pub fn errors(&mut self) -> String {
        self.errors.take().map_or_else(String::new, |errors| errors.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
