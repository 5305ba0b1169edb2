//! Which namespaces are served: those of the catalog's gateways, each under its path and its aliases.

use std::collections::HashMap;
use std::sync::Arc;

use gatewright_core::catalog::LiveGateway;

use super::connect;
use super::connection::Connection;
use super::hub::Hub;
use super::namespace::Namespace;

impl Hub {
    /// Brings the namespaces in line with the catalog. Disconnects nobody but the sockets of a
    /// gateway that has gone or is disabled, those that came by an alias that leads here no more, and those without
    /// the token or the app key that is needed now.
    pub(super) fn reconcile(&self) {
        let live = self.runner.catalog.live();
        let mut wanted = HashMap::new();
        for gateway in live.values() {
            wanted.extend(gateway.names().map(|name| (name.clone(), gateway)));
        }
        let mut served = self.served.lock();
        let is_gone = |name: &Arc<str>, path: &mut Arc<str>| {
            wanted.get(name).is_none_or(|gateway| gateway.path != *path)
        };
        for (name, path) in served.extract_if(is_gone) {
            self.stop_serving(&name, &path);
        }
        for namespace in self.namespaces().values().filter(|namespace| !live.contains_key(&namespace.path)) {
            self.change_namespaces(|namespaces| drop(namespaces.remove(&namespace.path)));
            // Another may have removed it, which is the same.
            let _ = self.runner.metrics.connections.remove_label_values(&[&*namespace.path]);
            tracing::info!(gateway = %namespace.path, "gateway removed");
        }
        for gateway in live.values() {
            match self.namespace(&gateway.path) {
                Some(namespace) => update(&namespace, gateway),
                None => self.add_namespace(gateway),
            }
        }
        for (name, gateway) in
            wanted.into_iter().filter(|(name, _)| !served.contains_key(name)).collect::<Vec<_>>()
        {
            let Some(namespace) = self.namespace(&gateway.path) else { continue };
            connect::serve(self.io(), self.this.clone(), namespace, name.clone());
            tracing::debug!(gateway = %gateway.path, %name, "gateway served");
            served.insert(name, gateway.path.clone());
        }
    }

    /// Serves a name no more; whoever came by it is disconnected.
    fn stop_serving(&self, name: &Arc<str>, path: &Arc<str>) {
        if let Some(namespace) = self.namespace(path) {
            end_those(&namespace, |connection| connection.entrance == *name);
        }
        self.io().delete_ns(name);
    }

    fn add_namespace(&self, gateway: &Arc<LiveGateway>) {
        let gauge = self.runner.metrics.connections.with_label_values(&[&*gateway.path]);
        let namespace = Arc::new(Namespace::new(gateway.clone(), self.runner.group(&gateway.path), gauge));
        self.change_namespaces(|namespaces| drop(namespaces.insert(gateway.path.clone(), namespace.clone())));
    }
}

/// Takes over a gateway's new settings.
fn update(namespace: &Namespace, gateway: &Arc<LiveGateway>) {
    let before = namespace.gateway.swap(gateway.clone());
    if before.is_enabled && !gateway.is_enabled {
        return end_those(namespace, |_| true);
    }
    if !before.require_auth && gateway.require_auth {
        end_those(namespace, |connection| connection.user_id().is_none());
    }
    if !before.require_app_key && gateway.require_app_key {
        end_those(namespace, |connection| connection.app_key().is_none());
    }
}

fn end_those(namespace: &Namespace, are_meant: impl Fn(&Connection) -> bool) {
    let connections = namespace.rooms.connections();
    connections.iter().filter(|connection| are_meant(connection)).for_each(|connection| connection.end());
}
