//! Calls that do not exist, found before a script runs: on macros by the table of all calls, others
//! by what Rhai, the product and the script itself define.
//!
//! Nothing is refused that could work: a name counts as known wherever the script may hold a closure
//! under it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rhai::{AST, ASTNode, CustomExpr, Engine, Expr, FnCallExpr, Namespace, Position, Stmt};

use super::engine::CompileError;
use super::hints;
use super::library::{Import, Imports};
use super::reference::{Context, Entry, GROUPS, calls_of};
use crate::nearest::did_you_mean;

/// Functions that are Rhai's grammar and not registered.
const KEYWORDS: [&str; 11] = [
    "Fn",
    "call",
    "curry",
    "debug",
    "eval",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "print",
    "sleep",
    "type_of",
];

/// The functions of an engine: by name, how many arguments they take, the receiver counted.
pub(super) struct Functions(BTreeMap<String, BTreeSet<usize>>);

impl Functions {
    pub(super) fn of(engine: &Engine) -> Self {
        let mut all: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let each = engine.collect_fn_metadata(
            None,
            |function| Some((function.metadata.name.to_string(), function.metadata.num_params)),
            true,
        );
        for (name, count) in each {
            all.entry(name).or_default().insert(count);
        }
        Self(all)
    }
}

/// What is wrong with a script's calls, at most.
const WRONG_MAX: usize = 100;

/// That all calls of a script exist, those of what it imports among them.
pub(super) fn check(ast: &AST, imports: &Imports, functions: &Functions) -> Result<(), CompileError> {
    all_wrong(ast, imports, functions, None).into_iter().next().map_or(Ok(()), Err)
}

/// The calls of a script that do not exist, or do nothing in what it is for, in their order.
pub(super) fn all_wrong(
    ast: &AST,
    imports: &Imports,
    functions: &Functions,
    context: Option<Context>,
) -> Vec<CompileError> {
    let (own, words, of_macros) = (BTreeMap::new(), HashSet::new(), HashSet::new());
    let mut script = Script { functions, imports, context, own, words, of_macros };
    for function in ast.iter_functions() {
        script.own.entry(function.name.to_owned()).or_default().insert(function.params.len());
        script.words.extend(function.params.iter().map(|name| (*name).to_owned()));
    }
    ast.walk(&mut |path| {
        path.last().into_iter().for_each(|node| script.learn(node));
        true
    });
    let mut wrong = Vec::new();
    ast.walk(&mut |path| {
        wrong.extend(path.last().and_then(|node| script.check(node).err()));
        wrong.len() < WRONG_MAX
    });
    let error = |(message, position): Wrong| {
        let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(0));
        let hint = message.starts_with(THERE_IS_NO).then(|| message.split_once(": ")).flatten();
        let hint = hint.map(|(_, hint)| hint.to_owned());
        CompileError { message, hint, line, column }
    };
    wrong.into_iter().map(error).collect()
}

/// How the message begins that says what there is instead.
const THERE_IS_NO: &str = "there is no ";

/// What is wrong, and where.
type Wrong = (String, Position);

struct Script<'a> {
    functions: &'a Functions,
    imports: &'a [Import],
    /// What it is for, where that is known.
    context: Option<Context>,
    /// Functions of the script: how many arguments they take.
    own: BTreeMap<String, BTreeSet<usize>>,
    /// Names under which the script may hold closures.
    words: HashSet<String>,
    /// Calls on macros, which are checked with their macro.
    of_macros: HashSet<Position>,
}

impl Script<'_> {
    fn learn(&mut self, node: &ASTNode) {
        match node {
            ASTNode::Stmt(Stmt::Var(variable, ..)) => self.add(variable.0.as_str()),
            ASTNode::Stmt(Stmt::For(of, ..)) => self.add(of.0.as_str()),
            ASTNode::Expr(Expr::Variable(variable, ..)) => self.add(&variable.1),
            ASTNode::Expr(Expr::Property(property, _)) => self.add(&property.2),
            ASTNode::Expr(Expr::StringConstant(text, _)) => self.add(text),
            ASTNode::Expr(Expr::Map(map, _)) => map.0.iter().for_each(|(name, _)| self.add(name.as_str())),
            ASTNode::Expr(Expr::DynamicConstant(value, _)) => {
                if let Ok(map) = value.as_map_ref() {
                    map.keys().for_each(|name| self.add(name));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, word: &str) {
        self.words.insert(word.to_owned());
    }

    fn check(&mut self, node: &ASTNode) -> Result<(), Wrong> {
        match node {
            ASTNode::Expr(Expr::Dot(pair, ..)) => match macro_of(&pair.lhs) {
                Some(of) => self.check_chain(of, &pair.rhs),
                None => Ok(()),
            },
            // `@REPOS["name"].find()`
            ASTNode::Expr(Expr::Index(pair, ..)) if macro_of(&pair.lhs) == Some("@REPOS") => {
                match &pair.rhs {
                    Expr::Dot(rest, ..) => self.check_chain("#table", &rest.rhs),
                    _ => Ok(()),
                }
            }
            ASTNode::Expr(Expr::Custom(custom, position)) => match macro_entry(custom) {
                Some(entry) => self.check_place(entry).map_err(|message| (message, *position)),
                None => Ok(()),
            },
            ASTNode::Expr(Expr::MethodCall(call, position)) if !self.of_macros.contains(position) => {
                self.check_method(call, *position)
            }
            ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position)) => {
                self.check_function(call, *position)
            }
            ASTNode::Expr(Expr::Variable(variable, _, position)) => {
                let namespace = &variable.2;
                match self.library(namespace, *position)? {
                    Some(import) => {
                        check_constant(import, &variable.1).map_err(|message| (message, *position))
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The library whose function or constant is meant; none: the script's own.
    fn library(&self, namespace: &Namespace, position: Position) -> Result<Option<&Import>, Wrong> {
        let Some(first) = namespace.path.first() else { return Ok(None) };
        let alias = first.as_str();
        if alias == "global" {
            return Ok(None);
        }
        if namespace.path.len() > 1 {
            let last = namespace.path.last().map_or(alias, |last| last.as_str());
            let message = format!("what {alias} imports is its own: import {last} here too");
            return Err((message, position));
        }
        let import = self.imports.iter().find(|import| import.alias == alias);
        let known = self.imports.iter().map(|import| import.alias.as_str());
        match import {
            Some(import) => Ok(Some(import)),
            None => {
                let hint = did_you_mean(alias, known);
                Err((
                    format!(
                        "{alias} is not imported{hint}: write `import \"{alias}\" as {alias};` at the top"
                    ),
                    position,
                ))
            }
        }
    }

    /// What stands behind a macro and a dot, and behind what that gives if it is a macro again.
    fn check_chain(&mut self, of: &'static str, rest: &Expr) -> Result<(), Wrong> {
        let (link, more) = match rest {
            Expr::Dot(pair, ..) => (&pair.lhs, Some(&pair.rhs)),
            Expr::Index(pair, ..) => (&pair.lhs, None),
            link => (link, None),
        };
        let entry = match link {
            Expr::MethodCall(call, position) => {
                self.of_macros.insert(*position);
                let found = find_call(of, call).and_then(|entry| self.check_place(entry).map(|()| entry));
                Some(found.map_err(|message| (message, *position))?)
            }
            Expr::Property(property, position) => {
                let found =
                    find_property(of, &property.2).and_then(|entry| self.check_place(entry).map(|()| entry));
                Some(found.map_err(|message| (message, *position))?)
            }
            _ => None,
        };
        let next = entry.and_then(|entry| entry.gives.strip_prefix('`')?.strip_suffix('`'));
        match (next.filter(|next| !calls_of(next).is_empty()), more) {
            (Some(next), Some(more)) => self.check_chain(next, more),
            _ => Ok(()),
        }
    }

    /// That it can do something in what the script is for.
    fn check_place(&self, entry: &Entry) -> Result<(), String> {
        match self.context.and_then(|context| entry.place.is_refused_in(context)) {
            Some(why) => Err(format!("`{}` {why}", entry.full())),
            None => Ok(()),
        }
    }

    /// A call of a method on a value, of which it is not known what it is.
    fn check_method(&self, call: &FnCallExpr, position: Position) -> Result<(), Wrong> {
        let (name, count) = (call.name.as_str(), call.args.len());
        let takes = |all: &BTreeMap<String, BTreeSet<usize>>, count| {
            all.get(name).is_some_and(|counts: &BTreeSet<usize>| counts.contains(&count))
        };
        let is_known = takes(&self.functions.0, count + 1) || takes(&self.own, count);
        if is_known || KEYWORDS.contains(&name) || self.words.contains(name) {
            return Ok(());
        }
        let known =
            self.functions.0.get(name).map(|counts| counts.iter().map(|count| count.saturating_sub(1)));
        let message = match (known, hints::of_method(name)) {
            _ if self.own.contains_key(name) => {
                format!(
                    "write `{name}(x)`: only a function that uses `this` is called on a value, `x.{name}()`"
                )
            }
            (Some(counts), _) => wrong_number(name, counts),
            (None, Some(hint)) => format!("{THERE_IS_NO}{name}(): {hint}"),
            (None, None) => format!("there is no {name}(){}", did_you_mean(name, self.names())),
        };
        Err((message, position))
    }

    fn check_function(&self, call: &FnCallExpr, position: Position) -> Result<(), Wrong> {
        let (name, count) = (call.name.as_str(), call.args.len());
        if let Some(import) = self.library(&call.namespace, position)? {
            return check_imported(import, name, count).map_err(|message| (message, position));
        }
        let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
        if call.op_token.is_some() || call.is_qualified() || !is_name || KEYWORDS.contains(&name) {
            return Ok(());
        }
        let (known, own) = (self.functions.0.get(name), self.own.get(name));
        let takes = |counts: Option<&BTreeSet<usize>>| counts.is_some_and(|counts| counts.contains(&count));
        if self.words.contains(name) || takes(known) || takes(own) {
            return Ok(());
        }
        let of_macro = GROUPS.iter().flat_map(|group| group.entries).find(|entry| entry.name() == name);
        let hint = hints::of_function(name).map(str::to_owned);
        let message =
            match (own, hint.or_else(|| of_macro.map(|entry| format!("write `{}`", entry.full()))), known) {
                (Some(own), ..) => wrong_number(name, own.iter().copied()),
                (None, Some(hint), _) => format!("{THERE_IS_NO}function {name}: {hint}"),
                (None, None, Some(known)) => wrong_number(name, known.iter().copied()),
                (None, None, None) => {
                    format!("there is no function {name}{}", did_you_mean(name, self.names()))
                }
            };
        Err((message, position))
    }

    /// The names that a call may have, without those of operators and properties.
    fn names(&self) -> impl Iterator<Item = &str> {
        let is_name = |name: &&str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
        self.functions.0.keys().chain(self.own.keys()).map(String::as_str).filter(is_name)
    }
}

/// That a library has a function.
fn check_imported(import: &Import, name: &str, count: usize) -> Result<(), String> {
    let Some(library) = import.compiled() else { return Ok(()) };
    match library.functions.get(name) {
        Some(counts) if counts.contains(&count) => Ok(()),
        Some(counts) => Err(wrong_number(&format!("{}::{name}", import.alias), counts.iter().copied())),
        None => {
            let known = library.functions.keys().map(String::as_str);
            Err(not_in(import, &format!("function {name}"), name, known))
        }
    }
}

/// That a library exports a constant.
fn check_constant(import: &Import, name: &str) -> Result<(), String> {
    let known = import.compiled().map(|library| &library.constants);
    match known.filter(|known| !known.contains(name)) {
        Some(known) => {
            Err(not_in(import, &format!("exported constant {name}"), name, known.iter().map(String::as_str)))
        }
        None => Ok(()),
    }
}

fn not_in<'a>(
    import: &Import,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let hint = did_you_mean(name, known.clone());
    let known: Vec<_> = known.filter(|known| !known.contains('$')).collect();
    let known =
        if known.is_empty() { "it has none".to_owned() } else { format!("known: {}", known.join(", ")) };
    format!("the library {} has no {what}{hint}; {known}", import.full_name())
}

/// The entry of a macro itself.
fn macro_entry(custom: &CustomExpr) -> Option<&'static Entry> {
    let Some(Expr::Variable(name, ..)) = custom.inputs.first() else { return None };
    if custom.tokens.first()?.as_str() != "@" {
        return None;
    }
    calls_of("").iter().find(|entry| entry.name().strip_prefix('@') == Some(name.1.as_str()))
}

/// The macro with calls that an expression is.
fn macro_of(expression: &Expr) -> Option<&'static str> {
    let Expr::Custom(custom, _) = expression else { return None };
    let name = |index: usize| match custom.inputs.get(index) {
        Some(Expr::Variable(name, ..)) => Some(name.1.as_str()),
        _ => None,
    };
    match (custom.tokens.first()?.as_str(), name(0)?) {
        ("#", _) => Some("#table"),
        ("@", "REPOS") if name(1).is_some() => Some("#table"),
        ("@", of) => {
            let all = ["@SOCKET", "@THROW", "@CACHE", "@HELPERS", "@JOB", "@PACK", "@REPOS"];
            all.into_iter().find(|known| known[1..] == *of)
        }
        _ => None,
    }
}

fn find_call(of: &'static str, call: &FnCallExpr) -> Result<&'static Entry, String> {
    let (name, count) = (call.name.as_str(), call.args.len());
    let mut named = calls_of(of).iter().filter(|entry| entry.name() == name).peekable();
    let takes = |entry: &&Entry| {
        let (least, most) = entry.arguments();
        !entry.is_property() && (least..=most).contains(&count)
    };
    let Some(first) = named.peek() else { return Err(unknown(of, name)) };
    if first.is_property() {
        return Err(format!("{of}.{name} is a value: write it without parentheses"));
    }
    let written = named.clone().map(|entry| format!("`{}`", entry.full())).collect::<Vec<_>>().join(" or ");
    named.find(takes).ok_or_else(|| format!("{of}.{name} does not take {count} arguments: write {written}"))
}

fn find_property(of: &'static str, name: &str) -> Result<&'static Entry, String> {
    let entry = calls_of(of).iter().find(|entry| entry.name() == name).ok_or_else(|| unknown(of, name))?;
    if entry.is_property() {
        Ok(entry)
    } else {
        Err(format!("{of}.{name} is a call: write `{}`", entry.full()))
    }
}

fn unknown(of: &str, name: &str) -> String {
    let calls = calls_of(of);
    let hint = did_you_mean(name, calls.iter().map(Entry::name));
    let known: BTreeSet<_> = calls.iter().map(Entry::name).collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    format!("{of} has no {name}{hint}; known: {known}")
}

fn wrong_number(name: &str, counts: impl Iterator<Item = usize>) -> String {
    let counts = counts.map(|count| count.to_string()).collect::<Vec<_>>().join(" or ");
    format!("{name} takes another number of arguments: {counts}")
}
