package stack

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
)

// settings are what a stack chose when it was first started, and keeps. They
// hold secrets: the file has mode 0600.
type settings struct {
	// Addresses on loopback, host:port.
	DirectorAddress string `json:"director_address"`
	DeployerAddress string `json:"deployer_address"`
	SPIAddress      string `json:"spi_address"`
	BrokerAddress   string `json:"broker_address"`
	// OperationsAddress serves the broker's metrics and health.
	OperationsAddress string `json:"operations_address"`

	DirectorUsername string `json:"director_username"`
	DirectorPassword string `json:"director_password"`
	DeployerToken    string `json:"deployer_token"`
	SPIToken         string `json:"spi_token"`
	BrokerUsername   string `json:"broker_username"`
	BrokerPassword   string `json:"broker_password"`
	// SealKey seals what the broker stores: 32 bytes, base64.
	SealKey string `json:"seal_key"`

	// ResolverAddress answers DNS for the instances' names.
	ResolverAddress string         `json:"resolver_address"`
	Consul          consulSettings `json:"consul"`
}

// addresses are all that the parts listen on.
func (s settings) addresses() []string {
	return []string{s.DirectorAddress, s.DeployerAddress, s.SPIAddress, s.BrokerAddress, s.OperationsAddress, s.ResolverAddress}
}

// Preferred ports; a stack takes another one where one is in use.
const (
	directorPort = 25555
	deployerPort = 25580
	spiPort      = 25581
	brokerPort   = 25500
	metricsPort  = 25501
	resolverPort = 25553
)

// loadSettings reads the stack's settings, making on the first start what is
// not there. A stack that was made before there was a setting gets it now.
func loadSettings(folder Folder) (settings, error) {
	var s settings
	found, err := readJSON(folder.settingsFile(), &s)
	if err != nil {
		return s, err
	}
	if !found {
		if s, err = newSettings(); err != nil {
			return s, err
		}
	}
	if s.ResolverAddress == "" {
		if s.ResolverAddress, err = freeAddress(resolverPort); err != nil {
			return s, err
		}
	}
	if s.Consul.ManagementToken == "" {
		if s.Consul, err = newConsulSettings(); err != nil {
			return s, fmt.Errorf("make Consul's keys: %w", err)
		}
	}
	return s, writeJSON(folder.settingsFile(), s)
}

func newSettings() (s settings, err error) {
	for _, a := range []struct {
		address   *string
		preferred int
	}{{&s.DirectorAddress, directorPort}, {&s.DeployerAddress, deployerPort}, {&s.SPIAddress, spiPort}, {&s.BrokerAddress, brokerPort}, {&s.OperationsAddress, metricsPort}} {
		if *a.address, err = freeAddress(a.preferred); err != nil {
			return settings{}, err
		}
	}
	s.DirectorUsername, s.BrokerUsername = "admin", "holdfast"
	for _, secret := range []*string{&s.DirectorPassword, &s.DeployerToken, &s.SPIToken, &s.BrokerPassword} {
		*secret = rand.Text()
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails, by its documentation
	s.SealKey = base64.StdEncoding.EncodeToString(key)
	return s, nil
}

// freeAddress returns a loopback address that nothing listens on now.
func freeAddress(preferred int) (string, error) {
	for _, port := range []int{preferred, 0} {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String(), nil
	}
	return "", fmt.Errorf("no free port on 127.0.0.1")
}
