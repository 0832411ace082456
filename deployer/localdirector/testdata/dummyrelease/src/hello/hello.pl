#!/usr/bin/perl
# A web server that needs nothing but perl-base: hello CONFIG PIDFILE.
#   /        the greeting and who answers
#   /config  the rendered configuration
#   /starts  how often pre-start has run on this disk
#   /peers   the rendered list of peers
#   /deploys how often post-deploy has run in this VM
use strict;
use warnings;
use IO::Socket::INET;

my ($config_file, $pidfile) = @ARGV;
open(my $pid, '>', $pidfile) or die "write $pidfile: $!";
print $pid "$$\n";
close($pid);

sub slurp {
    my ($file) = @_;
    open(my $in, '<', $file) or return "";
    local $/;
    return scalar <$in>;
}

sub lines { my ($file) = @_; return scalar(() = slurp($file) =~ /\n/g); }

# The configuration is flat JSON, a field a line.
my $config = slurp($config_file);
sub setting { my ($name) = @_; return $config =~ /"$name": "?(.*?)"?,?$/m ? $1 : die "no $name in $config_file"; }

$SIG{TERM} = sub { print "stopping\n"; exit 0 };
$| = 1;
sleep(setting('start_delay'));
my $server = IO::Socket::INET->new(LocalPort => setting('port'), Listen => 16, ReuseAddr => 1)
    or die "listen on " . setting('port') . ": $!";
print "listening on port " . setting('port') . "\n";

while (1) {
    my $client = $server->accept() or next;
    my $request = <$client> // '';
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    my $body;
    if ($request =~ m{^GET /config }) { $body = $config }
    elsif ($request =~ m{^GET /starts }) { $body = lines(setting('starts_file')) . "\n" }
    elsif ($request =~ m{^GET /deploys }) { $body = lines(setting('deploys_file')) . "\n" }
    elsif ($request =~ m{^GET /peers }) { $body = slurp(setting('peers_file')) }
    else { $body = setting('greeting') . "\n" . setting('instance') . " on " . setting('ip') . "\nmotto: __MOTTO__\n" }
    print $client "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    close($client);
}
