//! Libraries: functions and constants that scripts share, by Rhai's own `import "name" as name;`.
//!
//! A library is compiled once, into a module that all who import it share; a script keeps the modules that it
//! was compiled with, so what was accepted runs with what was live then. Nothing is looked up when a script
//! runs but in these, whatever Rhai is told to import.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{AST, Engine, EvalAltResult, Expr, Module, ModuleResolver, Position, Scope, Shared, Stmt};

use super::engine::{CompileError, ScriptEngine};
use crate::nearest::did_you_mean;

/// Libraries that one script may import.
pub(super) const IMPORTS_MAX: usize = 32;
/// Libraries in a chain, each of which imports the next.
const CHAIN_MAX: usize = 16;

/// A library, before it is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibrarySource {
    /// What it is called in its pack, or among those that are of no pack.
    pub name: String,
    /// The pack that it belongs to.
    pub pack: Option<String>,
    /// Functions and constants.
    pub source: String,
}

/// All libraries, compiled, by their full names.
#[derive(Default)]
pub struct Libraries(BTreeMap<String, Arc<Library>>);

/// One library.
pub(super) struct Library {
    of: LibrarySource,
    compiled: Result<Compiled, CompileError>,
}

/// What there is of a library that compiles.
pub(super) struct Compiled {
    pub ast: AST,
    pub imports: Imports,
    /// Its public functions: how many arguments they take.
    pub functions: BTreeMap<String, BTreeSet<usize>>,
    /// Its exported constants.
    pub constants: BTreeSet<String>,
    module: Shared<Module>,
}

/// One `import` of a script.
#[derive(Clone)]
pub(super) struct Import {
    /// As it is written.
    path: String,
    /// What the script calls it.
    pub alias: String,
    library: Arc<Library>,
}

/// The libraries that a script imports.
pub(super) type Imports = Arc<[Import]>;

/// What a script is compiled within.
#[derive(Clone, Default)]
pub struct Within {
    /// The libraries that there are.
    pub libraries: Arc<Libraries>,
    /// The pack that the script belongs to, whose libraries it finds first.
    pub pack: Option<Arc<str>>,
}

/// The name that a library has for all: its own, after its pack's.
pub fn full_name(pack: Option<&str>, name: &str) -> String {
    pack.map_or_else(|| name.to_owned(), |pack| format!("{pack}/{name}"))
}

impl LibrarySource {
    fn full_name(&self) -> String {
        full_name(self.pack.as_deref(), &self.name)
    }
}

impl Libraries {
    /// Compiles libraries; those of `before` that would be the same are kept. Takes a deep stack: call it on a
    /// script thread.
    pub fn compile(engine: &ScriptEngine, sources: Vec<LibrarySource>, before: &Self) -> Self {
        let sources = sources.into_iter().map(|source| (source.full_name(), source)).collect();
        let mut build = Build { engine, sources, before, done: BTreeMap::new(), chain: Vec::new() };
        let names: Vec<_> = build.sources.keys().cloned().collect();
        for name in names {
            build.library(&name);
        }
        Self(build.done)
    }

    /// Whether all are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|((_, one), (_, other))| Arc::ptr_eq(one, other))
    }

    /// The full names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether this library is the same in both.
    pub fn has_same(&self, other: &Self, full_name: &str) -> bool {
        match (self.0.get(full_name), other.0.get(full_name)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// The library of this full name: its source, and what it compiles to.
    pub(super) fn compiled(&self, full_name: &str) -> Option<(&str, Result<&Compiled, &CompileError>)> {
        let library = self.0.get(full_name)?;
        Some((&library.of.source, library.compiled.as_ref()))
    }

    /// Whether these imports of a script of this pack would be the same with these libraries.
    pub(super) fn are_same(&self, imports: &Imports, pack: Option<&str>) -> bool {
        imports.iter().all(|import| {
            let found = self.find(&import.path, pack);
            found.is_some_and(|found| Arc::ptr_eq(found, &import.library))
        })
    }

    /// The library that an import means.
    fn find(&self, path: &str, pack: Option<&str>) -> Option<&Arc<Library>> {
        self.0.get(&resolved(path, pack, |name| self.0.contains_key(name))?)
    }
}

impl Within {
    /// What an import of a script means, if it compiles.
    fn import(&self, wanted: &Wanted) -> Result<Import, CompileError> {
        let libraries = &self.libraries;
        let library = libraries
            .find(&wanted.path, self.pack.as_deref())
            .ok_or_else(|| wanted.unknown(libraries.names(), self.pack.as_deref()))?;
        wanted.import(library)
    }

    /// What a script imports.
    ///
    /// # Errors
    /// With the position of the import that is wrong.
    pub(super) fn imports(&self, ast: &AST) -> Result<Imports, CompileError> {
        refuse_exports(ast)?;
        wanted(ast)?.iter().map(|wanted| self.import(wanted)).collect()
    }
}

impl Import {
    /// What the library has.
    pub(super) fn compiled(&self) -> Option<&Compiled> {
        self.library.compiled.as_ref().ok()
    }

    /// What the library is called by all.
    pub(super) fn full_name(&self) -> String {
        self.library.of.full_name()
    }
}

/// The full name that an import means: the pack's own library goes before one that is of no pack, and
/// `pack/name` is that of a pack.
fn resolved(path: &str, pack: Option<&str>, is_there: impl Fn(&str) -> bool) -> Option<String> {
    let own = pack.map(|pack| full_name(Some(pack), path)).filter(|name| is_there(name));
    own.or_else(|| is_there(path).then(|| path.to_owned()))
}

/// An `import` as it is written.
struct Wanted {
    path: String,
    alias: String,
    position: Position,
}

impl Wanted {
    fn import(&self, library: &Arc<Library>) -> Result<Import, CompileError> {
        if let Err(error) = &library.compiled {
            let name = library.of.full_name();
            return Err(wrong(format!("the library {name} does not compile: {error}"), self.position));
        }
        Ok(Import { path: self.path.clone(), alias: self.alias.clone(), library: library.clone() })
    }

    fn unknown<'a>(&self, all: impl Iterator<Item = &'a str>, pack: Option<&str>) -> CompileError {
        let own = pack.map(|pack| format!("{pack}/"));
        let known: BTreeSet<&str> =
            all.map(|name| own.as_ref().and_then(|own| name.strip_prefix(&**own)).unwrap_or(name)).collect();
        let hint = did_you_mean(&self.path, known.iter().copied());
        let known = match known.len() {
            0 => "there are none".to_owned(),
            1..=20 => format!("known: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
            many => format!("there are {many} others"),
        };
        wrong(format!("there is no library {}{hint}; {known}", self.path), self.position)
    }
}

/// The imports of a script, which stand before all else.
fn wanted(ast: &AST) -> Result<Vec<Wanted>, CompileError> {
    let mut all = Vec::new();
    for statement in ast.statements() {
        let Stmt::Import(import, position) = statement else { break };
        let (path, alias) = (&import.0, import.1.as_str());
        let Expr::StringConstant(path, at) = path else {
            let message = "an import names its library by a constant text: write `import \"name\" as name;`";
            return Err(wrong(message.to_owned(), *position));
        };
        if alias.is_empty() {
            let message = format!("the import has no name to call it by: write `import \"{path}\" as name;`");
            return Err(wrong(message, *position));
        }
        all.push(Wanted { path: path.to_string(), alias: alias.to_owned(), position: *at });
    }
    let mut count = 0;
    let mut misplaced = None;
    ast.walk(&mut |path| {
        if let Some(rhai::ASTNode::Stmt(Stmt::Import(_, position))) = path.last() {
            count += 1;
            // Those at the top come first.
            if count > all.len() {
                misplaced = Some(*position);
            }
        }
        misplaced.is_none()
    });
    if let Some(position) = misplaced {
        return Err(wrong("imports stand at the top, before all else".to_owned(), position));
    }
    match all.get(IMPORTS_MAX) {
        Some(import) => {
            Err(wrong(format!("a script imports at most {IMPORTS_MAX} libraries"), import.position))
        }
        None => Ok(all),
    }
}

fn refuse_exports(ast: &AST) -> Result<(), CompileError> {
    let exported = ast.statements().iter().find_map(|statement| match statement {
        Stmt::Var(_, flags, position) if flags.contains(rhai::ASTFlags::EXPORTED) => Some(*position),
        Stmt::Export(_, position) => Some(*position),
        _ => None,
    });
    exported.map_or(Ok(()), |position| {
        Err(wrong(
            "a script exports nothing; what several scripts share stands in a library".to_owned(),
            position,
        ))
    })
}

fn wrong(message: String, position: Position) -> CompileError {
    let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
    CompileError { message, hint: None, line, column }
}

/// Libraries that are being compiled, each after those that it imports.
struct Build<'a> {
    engine: &'a ScriptEngine,
    sources: BTreeMap<String, LibrarySource>,
    before: &'a Libraries,
    done: BTreeMap<String, Arc<Library>>,
    /// Those that wait for one that they import.
    chain: Vec<String>,
}

impl Build<'_> {
    /// The library of this full name, which there is.
    fn library(&mut self, name: &str) -> Arc<Library> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        self.chain.push(name.to_owned());
        let library = self.kept(name).unwrap_or_else(|| {
            let of = self.sources[name].clone();
            Arc::new(Library { compiled: self.compiled(&of), of })
        });
        self.chain.pop();
        self.done.insert(name.to_owned(), library.clone());
        library
    }

    /// The one from before, if it would be the same.
    fn kept(&mut self, name: &str) -> Option<Arc<Library>> {
        let before = self.before.0.get(name).filter(|before| before.of == self.sources[name])?.clone();
        let Ok(compiled) = &before.compiled else { return None };
        for import in &*compiled.imports {
            let found = self.full_name(&import.path, before.of.pack.as_deref())?;
            if self.is_in_chain(&found) || !Arc::ptr_eq(&self.library(&found), &import.library) {
                return None;
            }
        }
        Some(before)
    }

    fn full_name(&self, path: &str, pack: Option<&str>) -> Option<String> {
        resolved(path, pack, |name| self.sources.contains_key(name))
    }

    fn is_in_chain(&self, name: &str) -> bool {
        self.chain.len() >= CHAIN_MAX || self.chain.iter().any(|known| known == name)
    }

    fn compiled(&mut self, of: &LibrarySource) -> Result<Compiled, CompileError> {
        let mut ast = self.engine.parse(&of.source)?;
        ast.set_source(of.full_name());
        let mut imports = Vec::new();
        for wanted in wanted(&ast)? {
            let pack = of.pack.as_deref();
            let name = self
                .full_name(&wanted.path, pack)
                .ok_or_else(|| wanted.unknown(self.sources.keys().map(String::as_str), pack))?;
            self.check_chain(&name, wanted.position)?;
            imports.push(wanted.import(&self.library(&name))?);
        }
        let imports = Imports::from(imports);
        let (functions, constants) = (functions_of(&ast), constants_of(&ast)?);
        let own = Own { imports: imports.clone(), pack: None };
        let module = with_own(&own, || Module::eval_ast_as_new(Scope::new(), &ast, self.engine.rhai()));
        let module = module.map_err(|error| wrong(error.to_string(), error.position()))?;
        Ok(Compiled { ast, imports, functions, constants, module: module.into() })
    }

    fn check_chain(&self, name: &str, position: Position) -> Result<(), CompileError> {
        if let Some(from) = self.chain.iter().position(|known| known == name) {
            let chain = self.chain[from..].join(" → ");
            return Err(wrong(format!("libraries import each other: {chain} → {name}"), position));
        }
        if self.chain.len() >= CHAIN_MAX {
            return Err(wrong(format!("more than {CHAIN_MAX} libraries import each the next"), position));
        }
        Ok(())
    }
}

fn functions_of(ast: &AST) -> BTreeMap<String, BTreeSet<usize>> {
    let mut functions: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for function in ast.iter_functions().filter(|function| !function.access.is_private()) {
        functions.entry(function.name.to_owned()).or_default().insert(function.params.len());
    }
    functions
}

/// The exported constants; refuses all that is neither a function nor a constant, since nothing may happen
/// when a library is compiled.
fn constants_of(ast: &AST) -> Result<BTreeSet<String>, CompileError> {
    let mut exported = BTreeSet::new();
    for statement in ast.statements() {
        match statement {
            Stmt::Import(..) | Stmt::Noop(_) => {}
            Stmt::Var(variable, flags, position) if flags.contains(rhai::ASTFlags::CONSTANT) => {
                let (name, value) = (&variable.0, &variable.1);
                if !value.is_constant() {
                    let message =
                        format!("the constant {} is no plain value; make it a function", name.as_str());
                    return Err(wrong(message, *position));
                }
                if flags.contains(rhai::ASTFlags::EXPORTED) {
                    exported.insert(name.as_str().to_owned());
                }
            }
            other => {
                let message = "a library has functions and constants only: `fn name(a) { … }`, `const A = 1;`, \
                               `export const B = 2;` for one that others see";
                return Err(wrong(message.to_owned(), other.position()));
            }
        }
    }
    Ok(exported)
}

/// What a script has of its own, beside its text.
#[derive(Clone, Default)]
pub(super) struct Own {
    /// The libraries that it was compiled with.
    pub imports: Imports,
    /// The pack that it belongs to.
    pub pack: Option<Arc<str>>,
}

thread_local! {
    /// Of the script that this thread runs.
    static OWN: RefCell<Own> = RefCell::default();
}

/// Does work of Rhai for the script, or the library, that has these.
pub(super) fn with_own<T>(own: &Own, work: impl FnOnce() -> T) -> T {
    let before = OWN.replace(own.clone());
    let done = work();
    OWN.set(before);
    done
}

/// The pack of the script that this thread runs.
pub(super) fn own_pack() -> Option<Arc<str>> {
    OWN.with_borrow(|own| own.pack.clone())
}

/// Finds what the script that this thread runs imports, and nothing else.
pub(super) struct OwnImports;

impl ModuleResolver for OwnImports {
    fn resolve(
        &self,
        _: &Engine,
        _: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let module = OWN.with_borrow(|own| {
            let import = own.imports.iter().find(|import| import.path == path)?;
            Some(import.compiled()?.module.clone())
        });
        module.ok_or_else(|| EvalAltResult::ErrorModuleNotFound(path.to_owned(), position).into())
    }
}
