//! What a Host header may hold (RFC 9110 section 7.2: uri-host and an optional port).

use super::swar;

/// Whether the bytes are a host and perhaps a port, and nothing that could be read as anything else.
pub fn is_host(host: &[u8]) -> bool {
    if host.is_empty() || host.len() > 255 + 6 {
        return false;
    }
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|b| *b == b']').and_then(|end| rest.split_at_checked(end)) {
            Some((inside, after)) if inside.iter().all(|b| b.is_ascii_hexdigit() || b":.".contains(b)) => {
                (inside, after.get(1..).unwrap_or_default())
            }
            _ => return false,
        },
        None => match swar::find(host, 0, b':').and_then(|at| host.split_at_checked(at)) {
            Some((name, port)) => (name, port),
            None => (host, &[][..]),
        },
    };
    let port_is_one = match port.split_first() {
        None => true,
        Some((b':', digits)) => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':');
    port_is_one && !name.is_empty() && name.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in ["as.example.com", "a_b.c", "127.0.0.1:8080", "[::1]", "[::1]:443", "localhost:", "a:1"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in
            ["", "a b", "a/b", "a@b", "a,b", "[::1", "[x]", "[::1]x", "a:b", "a:1:2", "a:123456", ":80", "a\t", "é"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
