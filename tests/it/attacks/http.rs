//! Other origins, other pages, slow and endless requests.
