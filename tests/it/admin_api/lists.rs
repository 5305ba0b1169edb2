//! Lists: filters, pages, orders and fields.

use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{check_error, check_error_shape, encode};
use crate::support::api::Api;

/// Four gateways to look for among others.
fn with_rows() -> Api {
    let api = Api::start();
    for (path, is_enabled, ms, description) in [
        ("/f/a", true, json!(100), "alpha"),
        ("/f/b", true, json!(200), "beta 50%"),
        ("/f/c", false, json!(300), "under_score"),
        ("/f/d", false, json!(null), "O'Brien'; DROP TABLE gw_gateway; --"),
    ] {
        let body = json!({ "path": path, "isEnabled": is_enabled, "scriptTimeoutMs": ms, "description": description });
        api.make("/admin/gateways", body);
    }
    for number in 0..25 {
        api.make("/admin/gateways", json!({ "path": format!("/n/{number:02}") }));
    }
    api
}

fn names(list: &Json) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap()).collect()
}

#[test]
fn admin_api_lists_filter() {
    let api = with_rows();
    let check = |filter: Json, expected: &[&str]| {
        let filter = json!({ "_and": [{ "path": { "_starts_with": "/f/" } }, filter] });
        let list = api.get(&format!("/admin/gateways?sort=path&filter={}", encode(&filter.to_string())));
        let expected: Vec<_> = expected.iter().map(|name| format!("/f/{name}")).collect();
        assert_eq!(names(&list), expected, "{filter}");
    };
    check(json!({}), &["a", "b", "c", "d"]);
    check(json!({ "scriptTimeoutMs": { "_eq": 200 } }), &["b"]);
    check(json!({ "scriptTimeoutMs": 200 }), &["b"]);
    check(json!({ "isEnabled": { "_neq": true } }), &["c", "d"]);
    check(json!({ "scriptTimeoutMs": { "_gt": 200 } }), &["c"]);
    check(json!({ "scriptTimeoutMs": { "_gte": 200 } }), &["b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_lt": 200 } }), &["a"]);
    check(json!({ "scriptTimeoutMs": { "_lte": 200 } }), &["a", "b"]);
    check(json!({ "scriptTimeoutMs": { "_gt": 100, "_lt": 300 } }), &["b"]);
    check(json!({ "scriptTimeoutMs": { "_in": [100, 300, 5] } }), &["a", "c"]);
    check(json!({ "path": { "_nin": ["/f/a", "/f/d"] } }), &["b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_in": [] } }), &[]);
    check(json!({ "path": { "_nin": [] } }), &["a", "b", "c", "d"]);
    check(json!({ "description": { "_contains": "50%" } }), &["b"]);
    check(json!({ "description": { "_contains": "%" } }), &["b"]);
    check(json!({ "description": { "_contains": "r_s" } }), &["c"]);
    check(json!({ "description": { "_starts_with": "_" } }), &[]);
    check(json!({ "description": { "_starts_with": "al" } }), &["a"]);
    check(json!({ "description": { "_ends_with": "a" } }), &["a"]);
    check(json!({ "description": { "_contains": "\\" } }), &[]);
    check(json!({ "scriptTimeoutMs": { "_between": [150, 300] } }), &["b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_is_null": true } }), &["d"]);
    check(json!({ "scriptTimeoutMs": { "_is_null": false } }), &["a", "b", "c"]);
    check(json!({ "scriptTimeoutMs": { "_eq": null } }), &["d"]);
    check(json!({ "_and": [{ "isEnabled": true }, { "scriptTimeoutMs": 100 }] }), &["a"]);
    check(json!({ "_or": [{ "path": "/f/d" }, { "scriptTimeoutMs": 100 }] }), &["a", "d"]);
    check(json!({ "_not": { "isEnabled": true } }), &["c", "d"]);
    check(json!({ "_not": { "_or": [{ "path": "/f/a" }, { "path": "/f/b" }] } }), &["c", "d"]);
    check(json!({ "isEnabled": false, "scriptTimeoutMs": 300 }), &["c"]);
    check(json!({ "createdAt": { "_gt": "2020-01-01T00:00:00Z" } }), &["a", "b", "c", "d"]);
    check(json!({ "createdAt": { "_gt": "2020-01-01T01:00:00+02:00", "_lt": "2020-01-02T00:00:00Z" } }), &[]);
    check(json!({ "description": "O'Brien'; DROP TABLE gw_gateway; --" }), &["d"]);
    check(json!({ "description": "' OR '1'='1" }), &[]);
    check(json!({ "path": { "_in": ["x') OR 1=1 --"] } }), &[]);

    let row = &api.get("/admin/gateways?filter=%7B%22path%22:%22/f/a%22%7D")["data"][0];
    check(json!({ "id": row["id"] }), &["a"]);
    // What was made at that very instant is found by its own time.
    check(json!({ "createdAt": { "_eq": row["createdAt"] }, "path": "/f/a" }), &["a"]);
}

#[test]
fn admin_api_lists_refuse_filters() {
    let api = with_rows();
    let refuse = |list: &str, filter: &str, mentions: &[&str]| {
        let path = format!("{list}?filter={}", encode(filter));
        let answer = api.try_call("GET", &path, None);
        let what = &filter[..filter.len().min(100)];
        let body = check_error_shape(what, &answer);
        assert!(matches!(answer.status, 400 | 422), "{what}: {}", answer.body);
        let message = body["message"].as_str().unwrap();
        assert!(message.len() < 1000, "{what}: a message of {} bytes", message.len());
        mentions
            .iter()
            .for_each(|word| assert!(message.contains(word), "{what}: {message:?} without {word}"));
    };
    let gateways = "/admin/gateways";
    refuse(gateways, r#"{"colour":"red"}"#, &["colour", "path", "isEnabled"]);
    refuse(gateways, r#"{"path":{"_like":"x"}}"#, &["_like", "_contains", "_between"]);
    refuse(gateways, r#"{"_nor":[]}"#, &["_nor"]);
    refuse(gateways, r#"{"path":5}"#, &["path"]);
    refuse(gateways, r#"{"scriptTimeoutMs":"5"}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"scriptTimeoutMs":1.5}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"scriptTimeoutMs":99999999999999999999}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"isEnabled":"true"}"#, &["isEnabled"]);
    refuse(gateways, r#"{"id":5}"#, &["id"]);
    refuse(gateways, r#"{"createdAt":"yesterday"}"#, &["createdAt"]);
    refuse(gateways, r#"{"path":{"_in":"x"}}"#, &["path"]);
    refuse(gateways, r#"{"scriptTimeoutMs":{"_between":[1]}}"#, &["_between"]);
    refuse(gateways, r#"{"scriptTimeoutMs":{"_is_null":1}}"#, &["_is_null"]);
    refuse(gateways, r#"{"scriptTimeoutMs":{"_contains":"1"}}"#, &["scriptTimeoutMs"]);
    refuse(gateways, r#"{"path":{"_contains":5}}"#, &["path"]);
    refuse(gateways, r#"{"_and":{"path":"x"}}"#, &["_and"]);
    refuse(gateways, r#"{"_or":[5]}"#, &[]);
    refuse(gateways, r#"{"_not":[]}"#, &[]);
    for wrong in ["", "x", "[]", "5", "null", "{", r#"{"path":"#] {
        refuse(gateways, wrong, &["filter"]);
    }
    let nested = |depth: usize| format!("{}{{}}{}", r#"{"_not":"#.repeat(depth), "}".repeat(depth));
    refuse(gateways, &nested(100), &["filter"]);
    refuse(gateways, &nested(3000), &["filter"]);
    let many = format!(r#"{{"scriptTimeoutMs":{{"_in":[{}1]}}}}"#, "1,".repeat(9_999));
    refuse(gateways, &many, &["filter"]);
    let many = format!(r#"{{"_or":[{}{{"path":"a"}}]}}"#, r#"{"path":"a"},"#.repeat(1_500));
    refuse(gateways, &many, &["filter"]);
    for name in ["path\" OR 1=1 --", "path; DROP TABLE users", "gateway.path", "created_at", "PATH"] {
        refuse(gateways, &json!({ name: "x" }).to_string(), &[]);
    }
    for secret in ["passwordHash", "password_hash", "password"] {
        refuse("/admin/users", &json!({ secret: { "_starts_with": "$" } }).to_string(), &[secret]);
        let answer = api.try_call("GET", &format!("/admin/users?sort={secret}"), None);
        check_error(secret, &answer, 422, "VALIDATION_ERROR", &[secret]);
        let answer = api.try_call("GET", &format!("/admin/users?fields={secret}"), None);
        check_error(secret, &answer, 422, "VALIDATION_ERROR", &[secret]);
    }
    assert_eq!(api.get("/admin/gateways?meta=*")["meta"]["totalCount"], 29, "all rows are still there");
}

#[test]
fn admin_api_lists_page_and_sort() {
    let api = with_rows();
    let list = api.get("/admin/gateways");
    assert_eq!(list["data"].as_array().unwrap().len(), 20, "20 rows by default");
    assert!(list.get("meta").is_none(), "no counts that were not asked for");
    assert_eq!(api.get("/admin/gateways?limit=1000")["data"].as_array().unwrap().len(), 29);
    let n = encode(r#"{"path":{"_starts_with":"/n/"}}"#);
    let list = api.get(&format!("/admin/gateways?meta=*&limit=1&filter={n}"));
    assert_eq!((&list["meta"], names(&list).len()), (&json!({ "totalCount": 29, "filterCount": 25 }), 1));

    let page = |query: &str| api.get(&format!("/admin/gateways?{query}"));
    let numbers =
        |range: std::ops::Range<u32>| range.map(|number| format!("/n/{number:02}")).collect::<Vec<_>>();
    assert_eq!(names(&page(&format!("sort=path&limit=10&filter={n}"))), numbers(0..10));
    assert_eq!(names(&page(&format!("sort=path&limit=10&page=2&filter={n}"))), numbers(10..20));
    assert_eq!(names(&page(&format!("sort=path&limit=10&page=3&filter={n}"))), numbers(20..25));
    assert_eq!(names(&page(&format!("sort=path&limit=10&page=4&filter={n}"))), Vec::<&str>::new());
    assert_eq!(names(&page("sort=-path&limit=2")), ["/n/24", "/n/23"]);
    assert_eq!(names(&page("sort=isEnabled,-path&limit=3")), ["/f/d", "/f/c", "/n/24"]);
    let times: Vec<_> = page("sort=-createdAt&limit=1000&fields=createdAt")["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| OffsetDateTime::parse(row["createdAt"].as_str().unwrap(), &Rfc3339).unwrap())
        .collect();
    assert!(times.iter().rev().is_sorted() && times.len() == 29, "{times:?}");

    let rows = page("fields=path,id&limit=3&sort=path");
    for row in rows["data"].as_array().unwrap() {
        let keys: Vec<_> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "path"]);
    }

    let refuse = |query: &str, mentions: &[&str]| {
        let answer = api.try_call("GET", &format!("/admin/gateways?{query}"), None);
        let body = check_error_shape(query, &answer);
        assert!(matches!(answer.status, 400 | 422), "{query}: {}", answer.body);
        let message = body["message"].as_str().unwrap();
        mentions
            .iter()
            .for_each(|word| assert!(message.contains(word), "{query}: {message:?} without {word}"));
    };
    for wrong in ["0", "-1", "1001", "x", "1.5", "99999999999999999999"] {
        refuse(&format!("limit={wrong}"), &["limit"]);
    }
    for wrong in ["0", "-1", "x", "99999999999999999999"] {
        refuse(&format!("page={wrong}"), &["page"]);
    }
    for wrong in ["colour", "-colour", "path,colour", "path;DROP%20TABLE%20users", "path%20DESC", "--path"] {
        refuse(&format!("sort={wrong}"), &["field"]);
    }
    for wrong in ["colour", "path,colour", "path%22,%22id", "*%20FROM%20users"] {
        refuse(&format!("fields={wrong}"), &["field"]);
    }
    assert_eq!(page("meta=*")["meta"]["totalCount"], 29, "all rows are still there");
}

#[test]
fn admin_api_lists_of_fields() {
    let api = Api::start();
    api.make("/admin/gateways", json!({ "path": "/a" }));
    let twice = api.try_call("GET", "/admin/gateways?fields=path,path", None);
    let twice = (twice.status, twice.body);
    // An unknown field is wrong whether or not a row is there to tell.
    let nothing = encode(r#"{"path":"/nothing"}"#);
    let none = api.try_call("GET", &format!("/admin/gateways?fields=colour&filter={nothing}"), None);
    assert_eq!(none.status, 422, "an unknown field of no rows: {}", none.body);
    assert_eq!(
        twice,
        (200, r#"{"data":[{"path":"/a"}]}"#.to_owned()),
        "the same field twice is the same row as once"
    );
}

#[test]
fn admin_api_lists_beyond_all_pages() {
    let api = Api::start();
    for page in ["1000000000", "9223372036854775807", "18446744073709551615"] {
        for limit in [1, 20, 1000] {
            let path = format!("/admin/users?page={page}&limit={limit}");
            let sent =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| api.try_call("GET", &path, None)));
            let answer = sent.unwrap_or_else(|_| panic!("{path}: the connection ended without an answer"));
            match answer.status {
                200 => assert_eq!(answer.json()["data"], json!([]), "{path}"),
                _ => {
                    check_error_shape(&path, &answer);
                    assert!(matches!(answer.status, 400 | 422), "{path}: {}", answer.body);
                }
            }
        }
    }
}
