package manifest

// The director's error codes, named as the director names them.
const (
	CodeUnknown = 100 // faults that the director has no code for

	CodeReleaseNotFound        = 30005
	CodeReleaseVersionNotFound = 30006

	CodeValidationInvalidType  = 40000
	CodeValidationMissingField = 40001
	CodeValidationViolatedMin  = 40002
	CodeValidationViolatedMax  = 40003
	CodeValidationExtraField   = 40004
	CodeValidationInvalidValue = 40005

	CodeStemcellNotFound           = 50003
	CodeStemcellAliasAlreadyExists = 50005

	CodeJobNotFound = 70009

	CodeCompilationUnknownNetwork     = 120001
	CodeCompilationInvalidAZ          = 120002
	CodeCompilationInvalidVMType      = 120003
	CodeCompilationInvalidExtension   = 120005
	CodeCompilationBadVMConfiguration = 120007
	CodeReservationError              = 130010
	CodeReservationAlreadyInUse       = 130008
	CodeReservationNotEnoughCapacity  = 130011
	CodeReservationOutsideSubnet      = 130012
	CodeReservationReserved           = 130013

	CodeGroupUnknownRelease        = 140002
	CodeGroupUnknownVMType         = 140004
	CodeGroupUnknownStemcell       = 140005
	CodeJobMissingNetwork          = 140009
	CodeGroupInvalidJobs           = 140010
	CodeJobInvalidLifecycle        = 140011
	CodeGroupUnknownDiskType       = 140012
	CodeGroupInvalidPersistentDisk = 140013
	CodeJobMissingLink             = 140014
	CodeJobInvalidAZ               = 140016
	CodeJobMissingAZs              = 140017
	CodeJobUnknownAZ               = 140018
	CodeGroupBadVMConfiguration    = 140022
	CodeReleaseMissingJob          = 140029
	CodeV1DeprecatedJob            = 140023
	CodeV1DeprecatedTemplate       = 140024
	CodeV1DeprecatedResourcePool   = 140025
	CodeV1DeprecatedNetworks       = 140026
	CodeV1DeprecatedDiskPools      = 140027
	CodeV1DeprecatedResourcePools  = 140028
	CodeV1DeprecatedProperties     = 140030

	CodeJobUnknownNetwork           = 150001
	CodeNetworkInstanceIPMismatch   = 150002
	CodeJobNetworkInvalidDefault    = 150003
	CodeJobNetworkMultipleDefaults  = 150004
	CodeJobNetworkMissingDefault    = 150005
	CodeJobNetworkMissingRequiredAZ = 150006
	CodeJobStaticIPsInvalidAZ       = 150007
	CodeJobInvalidStaticIPs         = 150009

	CodeNetworkOverlappingSubnets    = 160001
	CodeNetworkInvalidRange          = 160002
	CodeNetworkInvalidGateway        = 160003
	CodeNetworkInvalidDNS            = 160004
	CodeNetworkReservedIPOutOfRange  = 160005
	CodeNetworkStaticIPOutOfRange    = 160006
	CodeNetworkSubnetUnknownAZ       = 160007
	CodeNetworkInvalidProperty       = 160008
	CodeNetworkSubnetInvalidAZ       = 160009
	CodeNetworkInvalidIPRangeFormat  = 160010
	CodeUpdateConfigInvalidWatchTime = 180001

	CodeDuplicateReleaseName         = 190002
	CodeDuplicateVMTypeName          = 190004
	CodeDuplicateVMExtensionName     = 190005
	CodeCanonicalJobNameTaken        = 190006
	CodeCanonicalNetworkNameTaken    = 190007
	CodeNoNetworks                   = 190008
	CodeInvalidNetworkType           = 190010
	CodeDuplicateDiskTypeName        = 190013
	CodeDeploymentInvalidLink        = 190016
	CodeDuplicateAZName              = 190017
	CodeDeploymentInvalidProperty    = 190014
	CodeIgnoredInstancesModification = 190020
	CodeIgnoredInstancesDeletion     = 190021
	CodeInvalidMigratedFromJob       = 190018
	CodeInvalidResourceSpecification = 190019
	CodeDuplicateVariableName        = 190022

	CodeDiskTypeInvalidDiskSize = 200001
	CodeIncompatibleFeatures    = 210001
	CodeDNSInvalidCanonicalName = 420001
	CodeBadManifest             = 440001
	CodeBadConfig               = 440011

	CodeAddonReleaseNotListed         = 530002
	CodeAddonIncompleteJobFilter      = 530004
	CodeAddonIncompleteStemcellFilter = 530005
	CodeAddonDeploymentFilter         = 530006

	CodeVariableNotFound         = 540001
	CodeVariableNameSyntax       = 540004
	CodeVariableGenerationFailed = 540005
	CodeVariablePlacement        = 540007

	CodeVariablesInvalidFormat = 560000
	CodeFeaturesInvalidFormat  = 560001
	CodeCloudConfigMerge       = 570000
)
