# The demo's application: busybox' web server with a page that names the commit it was built from.
mkdir -p /www
printf '<!doctype html><title>Windlass demo</title><h1>%s</h1><p>commit %s</p>\n' "$(cat /message.txt)" "$WINDLASS_COMMIT" > /www/index.html
if [ -f /healthy ] || ! grep -q broken /message.txt; then
    echo ok > /www/health
fi
exec httpd -f -p 8080 -h /www
