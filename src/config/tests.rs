use super::*;
use crate::limits::{SITE_NAME_BYTES_MAX, TOPIC_BYTES_MAX};
use crate::users::email::EmailKey;
use std::iter;
use std::os::unix::ffi::OsStringExt;

type Vars<'a> = &'a [(&'a str, &'a str)];

fn run(args: &[&str], vars: Vars) -> Result<Command, ConfigError> {
    let vars = vars.iter().map(|&(name, value)| (name.into(), value.into()));
    parse(args.iter().map(OsString::from), vars, read_file)
}

/// The files that there are in these tests.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let content: &[u8] = match path.to_str() {
        Some("/key") => b"key-SECRET\n",
        Some("/smtp") => b"smtps://ada:SECRET@mail.example.org\r\n",
        Some("/two-lines") => b"smtp://ada:SECRET@mail.example.org\n\n\n",
        Some("/redis") => b"redis://ada:SECRET@redis.example/room\n",
        Some("/wrong") => b"SECRET \xc3\x84",
        Some("/binary") => b"SECRET \xff",
        Some("/empty") => b"\n",
        Some("/pem") => include_bytes!("../../tests/it/support/tls/ca.pem"),
        Some("/half-pem") => b"-----BEGIN CERTIFICATE-----\nMIIB\n",
        Some("/bad-der") => b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        Some("/locked") => return Err(io::ErrorKind::PermissionDenied.into()),
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(content.to_vec())
}

fn config(args: &[&str], vars: Vars) -> Config {
    match run(args, vars) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{args:?} {vars:?}: {other:?}"),
    }
}

/// What a row must come to.
enum Want<'a> {
    /// A configuration of which this is true.
    Good(fn(&Config) -> bool),
    /// This line.
    Bad(&'a str),
}
use Want::{Bad, Good};

fn check(args: &[&str], vars: Vars, want: &Want) {
    match (run(args, vars), want) {
        (Ok(Command::Run(config)), Good(holds)) => {
            assert!(holds(&config), "{args:?} {vars:?}: {config:?}");
        }
        (Err(error), Bad(line)) => assert_eq!(error.to_string(), *line, "{args:?} {vars:?}"),
        (other, _) => panic!("{args:?} {vars:?}: {other:?}"),
    }
}

#[test]
fn nothing_given_means_the_defaults() {
    let config = config(&[], &[("PATH", "/bin"), ("MAILGUN_OTHER", "x"), ("PLUME", "x")]);
    assert_eq!(config.settings, Settings::default());
    assert_eq!(config.listen.to_string(), "http://127.0.0.1:4884");
    assert_eq!((config.connections_max, config.static_dir, config.log_level), (None, None, Level::Info));
    assert!(matches!(config.mail, MailSettings::Print));
}

#[test]
fn production_posts_mail_and_keeps_the_key_to_itself() {
    let vars = [("ENV", "production"), (KEY, " key-SECRET\n"), ("MAILGUN_DOMAIN", "Mail.example.org")];
    let config = config(&["--mail-every", "0.5", "--name=Our place"], &vars);
    let budget = MailBudget { every: Duration::from_millis(500), burst: 15 };
    assert_eq!(config.settings.mail_budget, Some(budget));
    assert!(!format!("{config:?}").contains("SECRET"));
    let MailSettings::Mailgun(mailgun) = config.mail else { panic!("no mail in production") };
    assert_eq!(mailgun.api_key, "key-SECRET");
    assert_eq!(mailgun.domain, "mail.example.org");
    assert_eq!(mailgun.api_base, "https://api.mailgun.net");
    assert_eq!(mailgun.from.to_string(), "Plume Chat <hi@mail.example.org>");
    assert_eq!(mailgun.site_name, "Our place");
}

#[test]
fn flags_and_variables() {
    for (args, vars, want) in [
        (&["--history", "7"][..], &[("PLUME_HISTORY", "8")][..], Good(|c| c.settings.history_lines == 7)),
        (&["--history="], &[("PLUME_HISTORY", "8")], Good(|c| c.settings.history_lines == 50)),
        (&["--history", ""], &[], Good(|c| c.settings.history_lines == 50)),
        (&[], &[("PLUME_HISTORY", "")], Good(|c| c.settings.history_lines == 50)),
        (&["--name=a=b"], &[], Good(|c| c.settings.name == "a=b")),
        (&["--name=--x"], &[], Good(|c| c.settings.name == "--x")),
        (&["--max-connections=5"], &[], Good(|c| c.connections_max == Some(5))),
        (&["--max-connections=5"], &[], Good(|c| c.settings.connections_max == 5)),
        (&["--static", "a b"], &[], Good(|c| c.static_dir == Some(PathBuf::from("a b")))),
        (&["--env=development"], &[("ENV", "production")], Good(|c| c.settings.mail_budget.is_none())),
        (&["--listne=1"], &[], Bad("--listne: unknown flag; see --help")),
        (&["-x\n"], &[], Bad("-x\\n: unknown flag; see --help")),
        (&["--"], &[], Bad("--: unknown flag; see --help")),
        (&["--log", "info", "SECRET"], &[], Bad(STRAY)),
        (&["--listen"], &[], Bad("--listen: needs a value, as in --listen=VALUE")),
        (&["--listen", "--log=info"], &[], Bad("--listen: needs a value, as in --listen=VALUE")),
        (&["--log=info", "--log", "info"], &[], Bad("--log: given twice")),
        (&[], &[("PLUME_LISTNE", "1")], Bad("PLUME_LISTNE: unknown variable; see --help")),
        (&[], &[("ENV", "prod")], Bad("ENV is \"prod\", but must be production or development")),
        (&["--env=x\ny"], &[], Bad("--env is \"x\\ny\", but must be production or development")),
        (&["--smtp=smtp://ada:SECRET%@h"], &[], Bad(WRONG_LOGIN)),
        (
            &["--mailgun-apikey=SECRET Ä"],
            &[],
            Bad("--mailgun-apikey must be a key of visible ASCII characters"),
        ),
        (&["--mailgun-api-base=https://api:SECRET@host"], &[], Bad(WRONG_BASE)),
        (&["--env=production"], &[(KEY, "")], Bad(NO_MAIL)),
    ] {
        check(args, vars, &want);
    }
}

const WRONG_LOGIN: &str =
    "--smtp must be an address with user:password before the @, both not empty, with % written as %25";
const WRONG_KEY: &str = "MAILGUN_APIKEY_FILE must be a file that holds a key of visible ASCII characters";
const STRAY: &str = "argument 3 is neither a flag nor the value of one; see --help";
const WRONG_BASE: &str =
    "--mailgun-api-base must be an address such as https://api.mailgun.net, without user or query";
const NO_MAIL: &str = "production sends login codes by email: set PLUME_SMTP and PLUME_MAIL_FROM, or MAILGUN_APIKEY and \
                       MAILGUN_DOMAIN; see --help";

#[test]
fn production_has_one_way_to_send_email() {
    let smtp = |config: &Config| matches!(config.mail, MailSettings::Smtp(_));
    let mailgun = |config: &Config| matches!(config.mail, MailSettings::Mailgun(_));
    let (url, from) = ((SMTP, "smtp://mail.example.org"), (FROM, "hi@example.org"));
    let (key, domain) = ((KEY, "key-1"), (DOMAIN, "example.org"));
    for (vars, want) in [
        (&[][..], Bad(NO_MAIL)),
        (&[from, domain], Bad(NO_MAIL)),
        (&[url, from], Good(smtp)),
        (&[url, from, domain], Good(smtp)),
        (&[url], Bad("PLUME_MAIL_FROM is not set, but production with PLUME_SMTP needs it; see --help")),
        (&[key, domain], Good(mailgun)),
        (&[key, domain, (SMTP, "")], Good(mailgun)),
        (&[key], Bad("MAILGUN_DOMAIN is not set, but production with MAILGUN_APIKEY needs it; see --help")),
        (
            &[key, from],
            Bad("MAILGUN_DOMAIN is not set, but production with MAILGUN_APIKEY needs it; see --help"),
        ),
        (&[url, key, domain, from], Bad("PLUME_SMTP and MAILGUN_APIKEY are both set; set only one of them")),
        (&[url, from, (SMTP_CA, "/pem")], Good(smtp)),
        (&[key, domain, (SMTP_CA, "/pem")], Bad(UNUSED_CA)),
        (&[(SMTP, "smtp://localhost?tls=no"), from, (SMTP_CA, "/pem")], Bad(UNUSED_CA)),
        (&[("MAILGUN_APIKEY_FILE", "/key"), domain], Good(mailgun)),
        (&[("PLUME_SMTP_FILE", "/smtp"), from], Good(smtp)),
        (&[("PLUME_SMTP_FILE", "/two-lines"), from], Good(smtp)),
        (&[("PLUME_SMTP_FILE", "/smtp"), (SMTP, ""), from], Good(smtp)),
        (
            &[("PLUME_SMTP_FILE", "/smtp"), url, from],
            Bad("PLUME_SMTP and PLUME_SMTP_FILE are both set; set only one of them"),
        ),
        (
            &[("MAILGUN_APIKEY_FILE", "/key"), key, domain],
            Bad("MAILGUN_APIKEY and MAILGUN_APIKEY_FILE are both set; set only one of them"),
        ),
    ] {
        check(&["--env=production"], vars, &want);
    }
}

const UNUSED_CA: &str =
    "PLUME_SMTP_CA is set, but it is only for PLUME_SMTP with TLS; remove one or set the other";

#[test]
fn files_of_secrets_are_read_and_never_shown() {
    let Config { mail: MailSettings::Smtp(smtp), .. } =
        config(&["--env=production", "--smtp-file=/smtp", "--mail-from=hi@example.org"], &[])
    else {
        panic!("no SMTP server");
    };
    let login = smtp.url.login.as_ref().expect("a user");
    assert_eq!((login.user.as_str(), login.password.as_str()), ("ada", "SECRET"));
    assert!(!format!("{smtp:?}").contains("SECRET"));
    let Config { mail: MailSettings::Mailgun(mailgun), .. } =
        config(&["--env=production", "--mailgun-apikey-file=/key", "--mailgun-domain=example.org"], &[])
    else {
        panic!("no Mailgun");
    };
    assert_eq!(mailgun.api_key, "key-SECRET");
    for (variable, path, want) in [
        ("PLUME_SMTP_FILE", "/SECRET", "PLUME_SMTP_FILE: its file cannot be read: entity not found"),
        ("PLUME_SMTP_FILE", "/locked", "PLUME_SMTP_FILE: its file cannot be read: permission denied"),
        ("PLUME_SMTP_FILE", "/binary", "PLUME_SMTP_FILE must be a file that holds one line of UTF-8"),
        ("MAILGUN_APIKEY_FILE", "/SECRET", "MAILGUN_APIKEY_FILE: its file cannot be read: entity not found"),
        ("MAILGUN_APIKEY_FILE", "/wrong", WRONG_KEY),
        ("MAILGUN_APIKEY_FILE", "/empty", WRONG_KEY),
        ("PLUME_SMTP_CA", "/missing", "PLUME_SMTP_CA: its file cannot be read: entity not found"),
    ] {
        // Also in development, where they are not used.
        check(&[], &[(variable, path)], &Bad(want));
    }
    let what = "a PEM file with certificates of authorities, and none that is malformed";
    for path in ["/empty", "/half-pem", "/bad-der"] {
        let want = format!("PLUME_SMTP_CA is \"{path}\", but must be {what}");
        check(&[], &[("PLUME_SMTP_CA", path)], &Bad(&want));
    }
    for path in ["/wrong", "/empty"] {
        let error = run(&[], &[("PLUME_SMTP_FILE", path)]).expect_err(path).to_string();
        let start = "PLUME_SMTP_FILE must be a file that holds an address such as smtp://";
        assert!(error.starts_with(start) && !error.contains("SECRET"), "{error}");
    }
}

#[test]
fn a_room_is_shared_over_redis() {
    let url = |host: &str, key: &str| RedisUrl {
        place: RedisPlace::Tcp { host: host.to_owned(), port: 6379 },
        login: Some(RedisLogin { user: Some("ada".to_owned()), password: "SECRET".to_owned() }),
        key: key.to_owned(),
    };
    for (args, vars, redis, words) in [
        (&[][..], &[][..], None, "redis=off "),
        (&["--redis-file=/redis"], &[], Some(url("redis.example", "room")), "redis=tcp "),
        (&["--redis=redis://ada:SECRET@h"], &[("PLUME_DATA", "/d")], Some(url("h", "plume")), "redis=tcp "),
        (
            &["--redis=unix:/run/r?key=k"],
            &[("PLUME_REDIS", "redis://other")],
            Some(RedisUrl { place: RedisPlace::Unix("/run/r".into()), login: None, key: "k".to_owned() }),
            "redis=unix ",
        ),
    ] {
        let config = config(args, vars);
        let summary = config.summary().to_string();
        assert!(summary.contains(words), "{summary}");
        assert_eq!(config.settings.is_shared, redis.is_some());
        assert_eq!(config.redis, redis);
        assert!(!format!("{config:?} {summary}").contains("SECRET"));
    }
    for (args, want) in [
        (
            &["--redis=redis://h", "--redis-file=/redis"][..],
            "PLUME_REDIS and PLUME_REDIS_FILE are both set; set only one of them",
        ),
        (&["--redis-file=/SECRET"], "PLUME_REDIS_FILE: its file cannot be read: entity not found"),
        (
            &["--redis=redis://SECRET@h"],
            "--redis must be an address with user:password or :password before the @, with % written as %25; \
             unix://:password@/path",
        ),
        (
            &["--redis-file=/wrong"],
            "PLUME_REDIS_FILE must be a file that holds an address such as redis://user:password@127.0.0.1:6379/plume \
             or unix:/run/redis/redis.sock",
        ),
    ] {
        // In development and in production.
        check(args, &[], &Bad(want));
    }
}

#[test]
fn commands_take_settings_options_and_one_site() {
    let vars = [("PLUME_LISTEN", "0.0.0.0:80")];
    let health = |args: &[&str]| match run(args, &vars) {
        Ok(Command::Health(health)) => Ok(health),
        Err(error) => Err(error.to_string()),
        other => panic!("{args:?}: {other:?}"),
    };
    for (args, shown) in [
        (&["health"][..], "http://127.0.0.1/"),
        (&["health", "--listen", "[::]:4884"], "http://[::1]:4884/"),
        (&["health", "--listen=192.0.2.1:4884"], "http://192.0.2.1:4884/"),
        (&["health", "https://chat.example/chat"], "https://chat.example/chat/"),
    ] {
        let Ok(Health::Url(url)) = health(args) else { panic!("{args:?}") };
        assert_eq!(url.to_string(), shown, "{args:?}");
    }
    assert_eq!(health(&["health", "--listen=unix:/a"]), Ok(Health::Unix(PathBuf::from("/a"))));
    for (args, error) in [
        (&["health", "--listen=127.0.0.1:0"][..], "the server listens on any free port; "),
        (&["health", "--wait=5"], "--wait: unknown flag"),
        (&["health", "a.example", "b.example"], "argument 3 is neither"),
        (&["health", "https://u:SECRET@a"], "the site must be an address such as"),
        (&["health", "--listen=x"], "--listen is \"x\""),
    ] {
        let text = health(args).expect_err("a wrong command");
        assert!(text.starts_with(error) && !text.contains("SECRET"), "{args:?}: {text}");
    }
    let args =
        ["doctor", "--name", "x", "chat.example", "--wait=70", "--mail-to", "a@b.example", "--ca=c.pem"];
    let Ok(Command::Doctor(config, doctor)) = run(&args, &vars) else { panic!("{args:?}") };
    assert_eq!(doctor.url.map(|url| url.to_string()).as_deref(), Some("https://chat.example/"));
    assert_eq!(
        (doctor.wait, doctor.mail_to.as_deref()),
        (Some(Duration::from_secs(70)), Some("a@b.example"))
    );
    assert_eq!((doctor.authority, doctor.has_settings), (Some(PathBuf::from("c.pem")), true));
    assert!(
        matches!(run(&["doctor", "--wait=1"], &[("HOME", "/")]), Ok(Command::Doctor(_, it)) if !it.has_settings)
    );
    assert_eq!(config.expect("the settings are good").settings.name, "x");
    for (name, is_setting) in
        [("ENV", true), ("PLUME_TRUSTED_PROXY", true), ("PLUME", false), ("TERM", false)]
    {
        let Ok(Command::Doctor(config, doctor)) = run(&["doctor", "chat.example"], &[(name, "production")])
        else {
            panic!("{name}")
        };
        assert_eq!((doctor.has_settings, config.is_err()), (is_setting, is_setting), "{name}");
    }
    // The doctor reports wrong settings, so they do not end its start.
    let Ok(Command::Doctor(config, doctor)) = run(&["doctor", "--ping=x"], &vars) else {
        panic!("no doctor")
    };
    assert!(config.is_err() && doctor.url.is_none() && doctor.wait.is_none());
    for (args, error) in [
        (&["doctor", "--wait", "0"][..], "--wait is \"0\", but must be a number of seconds from 1 to 3600"),
        (
            &["doctor", "--mail-to=a"],
            "--mail-to is \"a\", but must be an email address such as ada@example.org",
        ),
        (&["doctor", "--wait"], "--wait: needs a value, as in --wait=VALUE"),
        (&["docter"], "argument 1 is neither a flag nor the value of one; see --help"),
        (&["--wait=5"], "--wait: unknown flag; see --help"),
        (&["--check", "doctor"], "argument 1 is neither a flag nor the value of one; see --help"),
    ] {
        assert_eq!(run(args, &vars).expect_err("a wrong command").to_string(), error, "{args:?}");
    }
    for args in [&["--check"][..], &["--name", "x", "--check"]] {
        assert!(matches!(run(args, &vars), Ok(Command::Check(_))), "{args:?}");
    }
    assert!(run(&["--check", "--ping=x"], &vars).is_err());
}

#[test]
fn numbers_and_their_bounds() {
    for (variable, good, bad) in [
        ("PLUME_HISTORY", &["0", "10000"][..], &["-1", "10001", "x", "1.5", " 1"][..]),
        (
            "PLUME_BACKLOG",
            &["1578304", "4MiB", "2048 KiB", "1024 MiB"],
            &["1 MiB", "1025 MiB", "4 GB", "MiB"],
        ),
        (
            "PLUME_CODE_TTL",
            &["1", "86400", "1.5"],
            &["0", "0.9", "86400.1", "600s", "1e3", "inf", "NaN", "."],
        ),
        ("PLUME_LEAVE_GRACE", &["0", "3600", "0.25"], &["3601", "-0", "-1"]),
        ("PLUME_NAME_TTL", &["3600", "15552000", "315360000"], &["3599", "0", "315360001", "1d"]),
        ("PLUME_PING", &["1", "59"], &["0", "60"]),
        ("PLUME_RATE", &["1", "1000000"], &["0", "1000001"]),
        ("PLUME_MAIL_EVERY", &["0.01", "86400"], &["0", "86401"]),
        ("PLUME_MAIL_BURST", &["1", "1000"], &["0", "1001"]),
        ("PLUME_MAX_CONNECTIONS", &["1", "16000000"], &["0", "16000001", "99999999999999999999999"]),
    ] {
        for value in good {
            check(&[], &[(variable, value)], &Good(|_| true));
        }
        for value in bad {
            let error = run(&[], &[(variable, value)]).expect_err(value).to_string();
            assert!(error.starts_with(&format!("{variable} is \"{value}\", but must be a ")), "{error}");
        }
    }
    check(&["--code-ttl=600s"], &[], &Bad(CODE_TTL));
    check(&["--backlog=2 MiB"], &[], &Good(|c| c.settings.backlog_bytes == 2 << 20));
    check(&["--leave-grace=0.25"], &[], &Good(|c| c.settings.leave_grace == Duration::from_millis(250)));
}

const CODE_TTL: &str = "--code-ttl is \"600s\", but must be a number of seconds from 1 to 86400";

/// What `value` for `variable` becomes, or `None` where it is not allowed.
fn read(variable: &str, value: &str) -> Option<String> {
    let vars = [("ENV", "production"), (KEY, "key"), (DOMAIN, "example.org"), (variable, value)];
    let Ok(Command::Run(config)) = run(&[], &vars) else { return None };
    let MailSettings::Mailgun(mailgun) = config.mail else { panic!("no mail in production") };
    Some(match variable {
        "PLUME_LISTEN" => config.listen.to_string(),
        "PLUME_METRICS" => config.metrics?.to_string(),
        "PLUME_NAME" => config.settings.name,
        "PLUME_ORIGINS" => config.settings.origins.join(" "),
        "PLUME_MODERATORS" => joined(config.settings.door.moderators.iter().filter_map(EmailKey::as_str)),
        "PLUME_ALLOW" => joined(config.settings.door.allow?),
        "PLUME_DENY" => joined(config.settings.door.deny),
        "PLUME_TOPIC" => config.settings.topic?,
        "PLUME_MAIL_FROM" => mailgun.from.to_string(),
        "MAILGUN_DOMAIN" => mailgun.domain,
        API_BASE => mailgun.api_base,
        KEY => mailgun.api_key,
        other => panic!("{other} has no place here"),
    })
}

fn joined(parts: impl IntoIterator<Item = impl ToString>) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn metrics_have_an_address_of_their_own_and_one_that_is_not_loopback_is_open() {
    let same = "PLUME_METRICS and PLUME_LISTEN are the same address, but metrics need one of their own";
    for (listen, metrics, want) in [
        ("127.0.0.1:80", "127.0.0.1:9484", Good(|c| !c.has_open_metrics())),
        ("127.0.0.1:0", "[::1]:0", Good(|c| !c.has_open_metrics())),
        ("127.0.0.1:0", "127.8.8.8:0", Good(|c| !c.has_open_metrics())),
        ("127.0.0.1:0", "[::ffff:127.0.0.1]:0", Good(|c| !c.has_open_metrics())),
        ("127.0.0.1:80", "10.0.0.5:9484", Good(Config::has_open_metrics)),
        ("127.0.0.1:80", "0.0.0.0:9484", Good(Config::has_open_metrics)),
        ("127.0.0.1:80", "[::]:9484", Good(Config::has_open_metrics)),
        ("unix:/a", "", Good(|c| !c.has_open_metrics() && c.metrics.is_none())),
        ("unix:/a", "127.0.0.1:80", Good(|c| c.metrics.is_some())),
        ("127.0.0.1:80", "127.0.0.2:80", Good(|c| c.metrics.is_some())),
        ("127.0.0.1:80", "127.0.0.1:80", Bad(same)),
        ("0.0.0.0:80", "127.0.0.1:80", Bad(same)),
        ("127.0.0.1:80", "[::]:80", Bad(same)),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", Bad(same)),
    ] {
        check(&[], &[("PLUME_LISTEN", listen), ("PLUME_METRICS", metrics)], &want);
    }
}

#[test]
fn a_wrong_list_of_addresses_is_named_by_number_and_not_shown() {
    for variable in ["PLUME_MODERATORS", "PLUME_ALLOW", "PLUME_DENY"] {
        let error = run(&[], &[(variable, "ada@example.org, SECRET@, bob@example.org")]).expect_err(variable);
        let error = error.to_string();
        assert!(error.starts_with(variable) && error.ends_with("; number 2 is none"), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}

#[test]
fn words_and_addresses() {
    let long_name = "n".repeat(SITE_NAME_BYTES_MAX + 1);
    let long_path = format!("unix:/{}", "p".repeat(200));
    let long_topic = "t".repeat(TOPIC_BYTES_MAX + 1);
    for (variable, value, want) in [
        (
            "PLUME_MODERATORS",
            "Ada@Example.org, ,bob@b\u{fc}cher.example",
            "ada@example.org bob@xn--bcher-kva.example",
        ),
        (
            "PLUME_ALLOW",
            "ada@example.org,@Example.com, @.example.net",
            "ada@example.org @example.com @.example.net",
        ),
        ("PLUME_ALLOW", "invited", ""),
        ("PLUME_ALLOW", " invited ,@example.org", "@example.org"),
        ("PLUME_DENY", "@.example.net", "@.example.net"),
        ("PLUME_TOPIC", " Tea at four ", "Tea at four"),
        ("PLUME_LISTEN", "[::1]:4884", "http://[::1]:4884"),
        ("PLUME_LISTEN", "0.0.0.0:0", "http://0.0.0.0:0"),
        ("PLUME_LISTEN", "localhost:80", "http://127.0.0.1:80"),
        ("PLUME_LISTEN", "unix:/run/plume/plume.sock", "unix:/run/plume/plume.sock"),
        ("PLUME_LISTEN", &long_path[..5 + 107], &long_path[..5 + 107]),
        ("PLUME_METRICS", "127.0.0.1:9484", "127.0.0.1:9484"),
        ("PLUME_METRICS", "localhost:0", "127.0.0.1:0"),
        ("PLUME_METRICS", "[::1]:9484", "[::1]:9484"),
        ("PLUME_METRICS", "10.0.0.5:9484", "10.0.0.5:9484"),
        ("PLUME_NAME", " Our place ", "Our place"),
        ("MAILGUN_DOMAIN", "MG.example.org", "mg.example.org"),
        (API_BASE, "https://api.eu.mailgun.net/", "https://api.eu.mailgun.net"),
        (API_BASE, "http://127.0.0.1:8025/Fake", "http://127.0.0.1:8025/Fake"),
        (KEY, " key-1\n", "key-1"),
        ("PLUME_MAIL_FROM", "hi@example.org", "hi@example.org"),
        ("PLUME_MAIL_FROM", "Plume Chat <hi@example.org>", "Plume Chat <hi@example.org>"),
        ("PLUME_MAIL_FROM", "Smith, John <hi@example.org>", "\"Smith, John\" <hi@example.org>"),
        ("PLUME_ORIGINS", "https://Plume.CHAT", "https://plume.chat"),
        ("PLUME_ORIGINS", "HTTPS://a.b:443, http://c:80,,http://d:81", "https://a.b http://c http://d:81"),
        ("PLUME_ORIGINS", "http://[0:0::1]:81,http://[::1]", "http://[::1]:81 http://[::1]"),
    ] {
        assert_eq!(read(variable, value).as_deref(), Some(want), "{variable}={value}");
    }
    let refused: [(&str, &[&str]); 16] = [
        ("PLUME_MODERATORS", &["ada@example.org @example.org", "@example.org", "ada", ",", "invited"]),
        ("PLUME_MODERATORS", &["ada@example.org,@.example.org"]),
        ("PLUME_ALLOW", &["uninvited", "example.org", " , "]),
        ("PLUME_DENY", &["invited", "@example.org,invited"]),
        ("PLUME_TOPIC", &[" ", "a\nb", &long_topic]),
        ("PLUME_LISTEN", &["unix:plume.sock", "unix:", "unix:/run/plume/", &long_path[..5 + 108]]),
        ("PLUME_LISTEN", &["localhost", "4884", "example.org:80"]),
        ("PLUME_METRICS", &["9484", ":9484", "127.0.0.1", "127.0.0.1:99999", "example.org:9484"]),
        ("PLUME_METRICS", &["unix:/run/plume/metrics.sock"]),
        ("PLUME_NAME", &["  ", "a\nb", &long_name]),
        ("MAILGUN_DOMAIN", &["a/b", "-a.org", "a..b"]),
        (API_BASE, &["https://api:key@host", "https://host/?a", "ftp://host", "api.mailgun.net"]),
        (KEY, &["key 1"]),
        ("PLUME_MAIL_FROM", &["Plume <hi@example.org"]),
        ("PLUME_ORIGINS", &["https://a/", "https://a?b", "https://u@a", "https://a:0"]),
        ("PLUME_ORIGINS", &["https://a:65536", "https://a:+1", "https://", "wss://a", "null", "*"]),
    ];
    for (variable, values) in refused {
        for value in values {
            assert_eq!(read(variable, value), None, "{variable}={value}");
        }
    }
}

#[test]
fn help_tells_every_setting_and_version_the_version() {
    for args in [&["--help"][..], &["--nonsense", "-h"]] {
        let Ok(Command::Print(text)) = run(args, &[("PLUME_NONSENSE", "1")]) else { panic!("{args:?}") };
        for setting in SETTINGS {
            assert!(text.contains(&format!("  {}, {}\n", setting.variable, setting.flag())), "{text}");
        }
        assert!(text.contains("--mailgun-apikey\n") && text.lines().all(|line| line.len() <= 100), "{text}");
    }
    let Ok(Command::Print(text)) = run(&["--man"], &[("PLUME_NONSENSE", "1")]) else { panic!("no manual") };
    for setting in SETTINGS {
        let (variable, flag) = (setting.variable, setting.flag().replace('-', "\\-"));
        assert!(text.contains(&format!("\n.TP\n\\fB{variable}\\fR, \\fB{flag}\\fR\n")), "{text}");
    }
    let Ok(Command::Print(text)) = run(&["--version"], &[]) else { panic!("no version") };
    assert_eq!(text, format!("plume {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_and_not_replaced() {
    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for (name, value, want) in [
        (
            &b"PLUME_SMTP"[..],
            &b"smtp://ada:SECRET\xff@mail.example.org"[..],
            Some("PLUME_SMTP: must be UTF-8"),
        ),
        (b"MAILGUN_APIKEY", b"SECRET\xff", Some("MAILGUN_APIKEY: must be UTF-8")),
        (b"PLUME_STATIC", b"/SECRET\xff", Some("PLUME_STATIC: must be UTF-8")),
        (b"ENV", b"SECRET\xff", Some("ENV: must be UTF-8")),
        (b"PLUME_X", b"SECRET\xff", Some("PLUME_X: unknown variable; see --help")),
        (b"PLUME_\xff", b"SECRET", Some("PLUME_\u{fffd}: unknown variable; see --help")),
        (b"LESS", b"\xff", None),
        (b"\xff", b"\xff", None),
    ] {
        let result = parse(iter::empty(), iter::once((bytes(name), bytes(value))), read_file);
        assert_eq!(result.err().map(|error| error.to_string()).as_deref(), want, "{}", text(name));
    }
    for (args, want) in [
        (&[&b"--smtp=SECRET\xff"[..]][..], "--smtp: must be UTF-8"),
        (&[b"--smtp", b"SECRET\xff"], "--smtp: must be UTF-8"),
        (&[b"--rate=1", b"SECRET\xff"], "argument 2: must be UTF-8"),
        (&[b"doctor", b"https://SECRET=\xff"], "argument 2: must be UTF-8"),
        (&[b"doctor", b"--ca", b"SECRET\xff"], "--ca: must be UTF-8"),
    ] {
        let result = parse(args.iter().map(|arg| bytes(arg)), iter::empty(), read_file);
        assert_eq!(result.expect_err("not UTF-8").to_string(), want);
    }
}

#[test]
fn a_path_is_shown_on_one_line() {
    let path = PathBuf::from(format!("/a\n\u{1b}[2J{}", "x".repeat(100)));
    let line = shown_path(&path);
    assert!(line.starts_with("/a\\n\\u{1b}[2Jxxx") && line.ends_with("x..."), "{line}");
    let line = Listen::Unix(path).to_string();
    assert!(line.starts_with("unix:/a\\n\\u{1b}[2Jxxx") && line.ends_with("xxx"), "{line}");
    assert_eq!(shown_path(Path::new("/run/plume/a b.sock")), "/run/plume/a b.sock");
}
