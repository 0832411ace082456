# frozen_string_literal: true

# What ERB templates of BOSH jobs see while they are filled in, and the loop
# that fills them in. It reads one request from standard input and answers on
# standard output, both JSON; see ruby.go for the two.

require 'erb'
require 'json'
require 'ostruct'
require 'yaml'

# Starting without RubyGems halves the start; some libraries are gems since Ruby 3.4.
require 'rubygems' unless $LOAD_PATH.resolve_feature_path('base64')

# The director has these loaded, so templates use them without a require.
{ Base64: 'base64', Digest: 'digest', IPAddr: 'ipaddr', OpenSSL: 'openssl', Resolv: 'resolv', SecureRandom: 'securerandom',
  Set: 'set', Shellwords: 'shellwords', StringIO: 'stringio', URI: 'uri', Zlib: 'zlib' }.each do |name, file|
  Object.autoload(name, file) unless Object.const_defined?(name)
end

# The names are those of the director, because templates may rescue its errors.
module Bosh
  module Template
    class UnknownProperty < StandardError
      attr_reader :name

      def initialize(names)
        @name = names
        super("Can't find property '#{names}'")
      end
    end

    class UnknownLink < StandardError
      def initialize(name)
        super("Can't find link '#{name}'")
      end
    end

    # p and if_p over a hash of properties, for jobs, links and their instances alike.
    module PropertyAccess
      def p(names, *default)
        names = Array(names)
        names.each do |name|
          value = lookup(raw_properties, name)
          return value unless value.nil?
        end
        raise UnknownProperty.new(names) if default.empty?

        default.first
      end

      def if_p(*names)
        values = names.map { |name| lookup(raw_properties, name) }
        return NotTaken.new(self) if values.any?(&:nil?)

        yield(*values)
        Taken.new
      end

      private

      def lookup(tree, name)
        name.split('.').inject(tree) { |node, key| node.nil? ? nil : node[key] }
      end
    end

    # What if_p and if_link return, to be asked for an else.
    class NotTaken
      def initialize(context)
        @context = context
      end

      def else
        yield
      end

      def else_if_p(*names, &block)
        @context.if_p(*names, &block)
      end

      def else_if_link(name, &block)
        @context.if_link(name, &block)
      end
    end

    class Taken
      def else; end

      def else_if_p(*)
        self
      end

      def else_if_link(*)
        self
      end
    end

    class EvaluationLinkInstance
      include PropertyAccess
      attr_reader :name, :index, :id, :az, :address, :properties, :bootstrap

      def initialize(link_instance)
        @name, @index, @id, @az, @address, @properties, @bootstrap =
          link_instance.values_at('name', 'index', 'id', 'az', 'address', 'properties', 'bootstrap')
      end

      private

      def raw_properties
        @properties
      end
    end

    class EvaluationLink
      include PropertyAccess
      attr_reader :instances, :properties

      def initialize(name, link)
        @name = name
        @instances = link['instances'].map { |i| EvaluationLinkInstance.new(i) }
        @properties = link['properties']
        @address = link['address']
      end

      # A director with DNS answers with a name for all instances that fit.
      # Without one there is an address only when it is given or one instance fits.
      def address(azs: nil, **)
        return @address unless @address.nil? || @address.empty?

        fitting = azs.nil? ? @instances : @instances.select { |i| azs.include?(i.az) }
        return fitting.first.address if fitting.size == 1

        raise "Link '#{@name}' has #{fitting.size} instances that fit and no address of its own: " \
              'this director gives link addresses without DNS, use the addresses of its instances'
      end

      private

      def raw_properties
        @properties
      end
    end

    # So that spec.networks.methods(false) lists the networks.
    class SpecStruct < OpenStruct
      def methods(regular = true)
        regular ? super : to_h.keys
      end
    end

    class EvaluationContext
      include PropertyAccess
      attr_reader :raw_properties

      def initialize(spec)
        @raw_spec = spec
        @raw_properties = spec['properties'] || {}
        @links = spec['links'] || {}
      end

      def name
        @raw_spec['job'].is_a?(Hash) ? @raw_spec['job']['name'] : nil
      end

      def index
        @raw_spec['index']
      end

      # Built when asked for: large specs are slow to turn into structs.
      def spec
        @spec ||= struct(@raw_spec, SpecStruct)
      end

      def properties
        @properties ||= struct(@raw_properties, OpenStruct)
      end

      def link(name)
        found = lookup(@links, name)
        raise UnknownLink.new(name) unless found.is_a?(Hash) && found.key?('instances')

        EvaluationLink.new(name, found)
      end

      def if_link(name)
        found = lookup(@links, name)
        return NotTaken.new(self) unless found.is_a?(Hash) && found.key?('instances')

        yield EvaluationLink.new(name, found)
        Taken.new
      end

      def get_binding
        binding
      end

      private

      def struct(value, kind)
        case value
        when Hash then kind.new(value.transform_values { |v| struct(v, kind) })
        when Array then value.map { |v| struct(v, kind) }
        else value
        end
      end
    end
  end
end

# Fills in the templates of one job for one instance.
class JobFiller
  def initialize(job)
    @name = job['name']
    @templates = job['templates'].map do |t|
      [t['source'], t['target'], t['content'].unpack1('m').force_encoding(Encoding::UTF_8)]
    end
  end

  # Returns the files by target and the errors; every template is tried.
  def fill(spec)
    frozen = Marshal.dump(spec)
    files = {}
    errors = []
    @templates.each do |source, target, content|
      $filling = "template '#{source}' of job '#{@name}'"
      files[target] = [render(source, content, Marshal.load(frozen))].pack('m0')
    rescue Exception => e # rubocop:disable Lint/RescueException -- also exit, syntax errors, stack overflows
      errors << { template: source, line: line_of(e, source), message: message_of(e) }
    end
    { files: files, errors: errors }
  end

  private

  def render(source, content, spec)
    erb = ERB.new(content, trim_mode: '-')
    erb.filename = file_name(source)
    erb.result(Bosh::Template::EvaluationContext.new(spec).get_binding)
  end

  def file_name(source)
    "#{@name}/#{source}"
  end

  def line_of(error, source)
    places = error.is_a?(SyntaxError) ? [error.message] : error.backtrace || []
    place = places.find { |p| p.start_with?("#{file_name(source)}:") } || '(unknown):(unknown)'
    place.delete_prefix("#{file_name(source)}:").split(':').first
  end

  # Ruby shows the object on which a method is missing, and JSON the text that
  # it could not read. Either may be a secret.
  def message_of(error)
    case error
    when NameError
      kind = receiver_kind(error)
      kind ? error.message.sub(/ for .*\z/m, " for an instance of #{kind}") : error.message
    when JSON::ParserError then error.message.sub(/ at .*\z/m, '')
    when SystemExit then "the template ended the process (exit status #{error.status})"
    else error.message
    end.scrub
  end

  # nil when there is no receiver, or one that gives nothing away.
  def receiver_kind(error)
    receiver = error.receiver
    case receiver
    when nil, true, false, Module then nil
    else Kernel.instance_method(:class).bind_call(receiver)
    end
  rescue ArgumentError
    nil
  end
end

input = JSON.parse($stdin.read)
answer = $stdout.dup
$stdin.reopen(File::NULL)
$stdout.reopen($stderr) # templates may print; the answer is not theirs
Process.setrlimit(:CORE, 0)
Process.setrlimit(:AS, input['memory_limit'])
Signal.trap('TERM') do
  answer.syswrite(JSON.generate(interrupted: $filling))
  exit!(1)
end

jobs = input['jobs'].map { |job| JobFiller.new(job) }
results = input['work'].map { |work| jobs[work['job']].fill(work['spec']) }
Signal.trap('TERM', 'IGNORE') # half an answer helps nobody
answer.write(JSON.generate(results: results))
answer.close
exit!(0) # nothing that a template left behind (at_exit, threads) runs on
