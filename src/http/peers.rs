//! Counts TCP connections, in all and per address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gatewright_admin_api::request::network_of;
use gatewright_core::config::Config;
use parking_lot::Mutex;

/// Open files that are reserved for the database, the log and what else the process opens.
const FILES_KEPT: u64 = 128;
/// Connections beyond the capacity that still get an answer: 503, or the server's health.
const ANSWERED_BEYOND: usize = 64;

/// The connections of a listener.
#[derive(Clone)]
pub struct Peers(Arc<Counts>);

struct Counts {
    /// Connections at once of one address; 0 means none.
    of_one_max: u32,
    /// Connections at once, by the limit of open files.
    capacity: usize,
    open: AtomicUsize,
    by_network: Mutex<HashMap<IpAddr, u32>>,
}

/// One connection's place; given back when dropped.
pub struct Place {
    peers: Peers,
    network: Option<IpAddr>,
    is_beyond: bool,
}

impl Peers {
    /// With the limits of the configuration and of the system, whose soft limit of open files is raised
    /// to the hard one.
    pub fn new(config: &Config) -> Self {
        let is_behind_proxy = config.trusted_ip_header.is_some();
        let of_one_max = if is_behind_proxy { 0 } else { config.limits.tcp_connections_per_ip };
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
            tracing::warn!(%error, "could not raise the limit of open files");
            // What systems allow at least.
            256
        });
        let kept = FILES_KEPT + ANSWERED_BEYOND as u64;
        let capacity = usize::try_from(files.saturating_sub(kept).max(files / 2)).unwrap_or(usize::MAX);
        let (open, by_network) = (AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(Counts { of_one_max, capacity, open, by_network }))
    }

    /// A place for a connection of this address, unless it or the server has too many.
    pub fn take_place(&self, address: IpAddr) -> Option<Place> {
        let network = (self.0.of_one_max > 0).then(|| network_of(address));
        if let Some(network) = network {
            let mut by_network = self.0.by_network.lock();
            let count = by_network.entry(network).or_default();
            if *count >= self.0.of_one_max {
                return None;
            }
            *count += 1;
        }
        let open = self.0.open.fetch_add(1, Ordering::Relaxed);
        let place = Place { peers: self.clone(), network, is_beyond: open >= self.0.capacity };
        // Dropped, the place is given back.
        (open < self.0.capacity.saturating_add(ANSWERED_BEYOND)).then_some(place)
    }
}

impl Place {
    /// Whether it is beyond the capacity: it gets one answer, and no socket.
    pub fn is_beyond_capacity(&self) -> bool {
        self.is_beyond
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.peers.0.open.fetch_sub(1, Ordering::Relaxed);
        let Some(network) = self.network else { return };
        if let Entry::Occupied(mut count) = self.peers.0.by_network.lock().entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(of_one_max: u32, capacity: usize) -> Peers {
        let (open, by_network) = (AtomicUsize::new(0), Mutex::default());
        Peers(Arc::new(Counts { of_one_max, capacity, open, by_network }))
    }

    #[test]
    fn each_address_has_its_share() {
        let peers = peers(2, 100);
        let address = |last| IpAddr::from([10, 0, 0, last]);
        let held: Vec<_> = (0..2).map(|_| peers.take_place(address(1)).unwrap()).collect();
        assert!(peers.take_place(address(1)).is_none());
        assert!(peers.take_place(address(2)).is_some());
        drop(held);
        assert!(peers.take_place(address(1)).is_some());
        assert!(peers.0.by_network.lock().is_empty(), "nothing stays of who has gone");
    }

    #[test]
    fn beyond_the_capacity_there_is_an_answer_and_then_none() {
        let peers = peers(0, 1);
        let address = IpAddr::from([10, 0, 0, 1]);
        let held: Vec<_> = (0..=ANSWERED_BEYOND).map(|_| peers.take_place(address).unwrap()).collect();
        assert!(!held[0].is_beyond_capacity() && held[1].is_beyond_capacity());
        assert!(peers.take_place(address).is_none());
        drop(held);
        assert!(!peers.take_place(address).unwrap().is_beyond_capacity());
    }
}
