#!/bin/sh
# Runs OpenSMTPD in namespaces of its own, so that nothing of it stays on the machine. As root:
#   unshare --mount --pid --fork --kill-child --mount-proc opensmtpd.sh PACKAGE PORT NEXT
# PACKAGE: a folder with the unpacked package. NEXT: the port of the server that gets email for example.org from it.
# Without TLS: the one in Debian 12 fails every handshake with the OpenSSL there.
set -eu
package=$1 port=$2 next=$3
mount --make-rprivate /
for folder in /run /var/lib /var/spool /usr/libexec; do
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd /run/opensmtpd
chmod 711 /var/spool/smtpd
cp -r "$package/usr/libexec/opensmtpd" /usr/libexec/
cp /etc/passwd /etc/group /run/opensmtpd/
for user in opensmtpd:60001 opensmtpq:60002; do
    echo "${user%:*}:x:${user#*:}:${user#*:}::/var/lib/opensmtpd/empty:/bin/false" >>/run/opensmtpd/passwd
    echo "${user%:*}:x:${user#*:}:" >>/run/opensmtpd/group
done
mount --bind /run/opensmtpd/passwd /etc/passwd
mount --bind /run/opensmtpd/group /etc/group
cat >/run/opensmtpd/smtpd.conf <<END
listen on lo port $port
action "pass on" relay host smtp://127.0.0.1:$next
match from any for domain "example.org" action "pass on"
END
exec "$package/usr/sbin/smtpd" -d -f /run/opensmtpd/smtpd.conf
