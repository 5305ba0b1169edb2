//! Those who want to hear that something has changed.

use parking_lot::RwLock;

/// Called one after the other, by whoever makes the change; none may wait.
#[derive(Default)]
pub(crate) struct Listeners(RwLock<Vec<Box<dyn Fn() + Send + Sync>>>);

impl Listeners {
    /// Adds one, for good.
    pub(crate) fn add(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.0.write().push(Box::new(tell));
    }

    /// Tells all.
    pub(crate) fn tell(&self) {
        self.0.read().iter().for_each(|tell| tell());
    }
}
